"""Checkpointed and compiled layers give the same values; checkpointed ones store less."""

from __future__ import annotations

import pytest
import torch

from dep.inference.likelihood import example_nll
from dep.inference.prefix_cache import prefix_span
from dep.models.backbones.layers import decoder_layers
from dep.models.backbones.load import load
from dep.models.settings import BackboneConfig


def _step(model, batch, slots: list[int]):
    kept = 0

    def keep(tensor):
        nonlocal kept
        kept += tensor.nbytes
        return tensor

    embeds = model.get_input_embeddings()(batch.ids).detach().requires_grad_()
    lead = prefix_span(batch, slots)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        sums, _ = example_nll(model, embeds, batch.attention_mask, batch.labels, lead)
    sums.sum().backward()
    with torch.no_grad():
        again, _ = example_nll(model, embeds, batch.attention_mask, batch.labels, lead)
    return sums.detach(), again, embeds.grad[:, lead.still :], kept


@pytest.mark.parametrize("option", ["activation_checkpointing", "compile"])
def test_values_and_gradients_equal_those_of_the_plain_model(prompts, collate, monkeypatch, option: str) -> None:
    """torch.compile runs with a backend that needs no compiler."""
    compiled = []

    def by_eager(layer, dynamic: bool) -> None:
        compiled.append(layer)
        layer.forward = torch.compile(layer.forward, backend="eager", dynamic=dynamic)

    monkeypatch.setattr(torch.nn.Module, "compile", by_eager)
    plain, tokenizer = load(BackboneConfig())
    ours, _ = load(BackboneConfig(**{option: True}))
    batch, slots = collate(prompts), tokenizer.convert_tokens_to_ids(["<his_slot>", "<diff_slot>"])
    expected, found = _step(plain, batch, slots), _step(ours, batch, slots)
    for wanted, got in zip(expected[:3], found[:3], strict=True):
        assert torch.allclose(got, wanted, rtol=1e-5, atol=1e-5)
    assert expected[2].abs().max() > 1e-3
    if option == "activation_checkpointing":
        assert found[3] < 0.5 * expected[3]
    else:
        assert compiled == list(decoder_layers(ours))
