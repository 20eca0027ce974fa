"""Cut cross-entropy gives the same likelihoods and gradients as logits in memory."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F

from dep.inference.likelihood import example_nll

ARCHITECTURES = ["qwen2", "llama", "gpt2", "gemma2"]


def linear_cross_entropy(e, c, targets, *, softcap, reduction, filter_eps, impl):
    """The package's kernels, written from their description."""
    assert (reduction, filter_eps, impl) == ("none", "auto", "torch_compile")
    logits = e @ c.T
    return F.cross_entropy(torch.tanh(logits / softcap) * softcap if softcap else logits, targets, reduction="none")


@pytest.fixture(params=["described", "installed"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "installed":
        pytest.importorskip("cut_cross_entropy")
        return
    described = ModuleType("cut_cross_entropy")
    described.linear_cross_entropy = linear_cross_entropy  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cut_cross_entropy", described)


@pytest.fixture
def read(bare_model, collate, prompts):
    """Likelihoods of a batch, and their gradient in the embeddings."""
    batch = collate(prompts, "right")

    def read_batch(model, cut: bool) -> tuple[torch.Tensor, torch.Tensor]:
        embeds = model.get_input_embeddings()(batch.ids).detach().requires_grad_()
        sums, tokens = example_nll(model, embeds, batch.attention_mask, batch.labels, cut=cut)
        (sums / tokens).mean().backward()
        assert embeds.grad is not None
        return sums.detach(), embeds.grad

    return read_batch


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_likelihoods_and_gradients_equal_those_of_logits_in_memory(kernels: None, bare_model, read, name: str) -> None:
    model = bare_model(name, vocab=340)
    (sums, gradient), (cut_sums, cut_gradient) = read(model, cut=False), read(model, cut=True)
    assert gradient.abs().max() > 1e-3
    assert torch.allclose(sums, cut_sums, rtol=1e-5)
    assert torch.allclose(gradient, cut_gradient, rtol=1e-4, atol=1e-6)
    assert not model.get_output_embeddings()._forward_pre_hooks


def test_a_model_that_scales_its_logits_is_refused(kernels: None, bare_model, read) -> None:
    model = bare_model("qwen2", vocab=340)
    model.get_output_embeddings().register_forward_hook(lambda head, args, logits: 1.5 * logits)
    with pytest.raises(ValueError, match=r"cross_entropy=cut.*Qwen2.*chunked"):
        read(model, cut=True)
