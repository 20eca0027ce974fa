"""Likelihoods equal those of a full forward pass, whatever the batch."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from dep.inference.likelihood import example_nll
from dep.inference.prefix_cache import PrefixSpan, prefix_span
from dep.types import IGNORE

ARCHITECTURES = ["qwen2", "llama", "gpt2", "gemma2"]


def plain(collate, prompts, side: str):
    """A batch without vectors: slot tokens keep their own embeddings."""
    batch = collate(prompts, side)
    batch.vectors, batch.present, batch.slot_index = {}, {}, {}
    return batch


@pytest.fixture
def build(bare_model, tokenizer):
    def make(name: str):
        return bare_model(name, vocab=340)

    return make


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("logits", [1 << 24, 3 * 340])
def test_likelihoods_equal_those_of_the_full_forward_pass(
    build, prompts, collate, monkeypatch, name: str, side: str, logits: int
) -> None:
    """With all logits in memory at once, or three rows of them at a time."""
    monkeypatch.setattr("dep.inference.likelihood.LOGITS", logits)
    model, batch = build(name), plain(collate, prompts, side)
    embeds = model.get_input_embeddings()(batch.ids)
    sums, tokens = example_nll(model, embeds, batch.attention_mask, batch.labels)
    for b, prompt in enumerate(prompts):
        row = torch.tensor([prompt.ids + prompt.target])
        full = model(input_ids=row).logits[0].log_softmax(-1)
        expected = -sum(full[t - 1, row[0, t]] for t in range(len(prompt.ids), row.shape[1]))
        assert sums[b].item() == pytest.approx(expected.item(), rel=1e-5)
    assert tokens.tolist() == [len(p.target) for p in prompts]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_gradients_do_not_depend_on_how_many_logits_are_in_memory(
    build, prompts, collate, monkeypatch, name: str
) -> None:
    model, batch = build(name).double(), plain(collate, prompts, "right")
    given = model.get_input_embeddings()(batch.ids).detach()
    gradients = []
    for logits in (1 << 24, 3 * 340):
        monkeypatch.setattr("dep.inference.likelihood.LOGITS", logits)
        embeds = given.clone().requires_grad_()
        sums, tokens = example_nll(model, embeds, batch.attention_mask, batch.labels)
        (sums / tokens).mean().backward()
        gradients.append(embeds.grad)
    assert gradients[0].abs().max() > 1e-3
    assert torch.allclose(*gradients, rtol=1e-10, atol=1e-12)
    assert "forward" not in vars(model.base_model)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_only_target_positions_reach_the_head(build, prompts, collate, monkeypatch, name: str) -> None:
    model, batch = build(name), plain(collate, prompts, "right")
    seen = []
    model.get_output_embeddings().register_forward_hook(lambda m, args, out: seen.append(out.shape[:2].numel()))
    embeds = model.get_input_embeddings()(batch.ids)
    example_nll(model, embeds, batch.attention_mask, batch.labels)
    assert seen == [sum(len(p.target) for p in prompts)]
    assert not model.get_output_embeddings()._forward_pre_hooks
    assert not model.base_model._forward_hooks
    monkeypatch.setattr("dep.inference.likelihood.LOGITS", 7 * 340)
    hooked = model.base_model.forward = partial(type(model.base_model).forward, model.base_model)  # as accelerate does
    example_nll(model, embeds, batch.attention_mask, batch.labels)
    assert max(seen[1:]) == 7
    assert model.base_model.forward is hooked


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_example_s_likelihood_does_not_depend_on_its_batch(build, prompts, collate, name: str) -> None:
    model = build(name)

    def nll(group, side: str) -> dict[str, float]:
        batch = plain(collate, group, side)
        embeds = model.get_input_embeddings()(batch.ids)
        sums, tokens = example_nll(model, embeds, batch.attention_mask, batch.labels)
        assert tokens.tolist() == [len(p.target) for p in group]
        return dict(zip(batch.keys, sums.tolist(), strict=True))

    alone = {key: value for p in prompts for key, value in nll([p], "right").items()}
    for group in (prompts, prompts[::-1], prompts[1:4]):
        for side in ("left", "right"):
            for key, value in nll(group, side).items():
                assert value == pytest.approx(alone[key], abs=1e-4, rel=1e-5)


def test_the_mean_over_tokens_is_the_loss_that_transformers_computes(build, prompts, collate) -> None:
    model, batch = build("qwen2"), plain(collate, prompts[:1], "right")
    embeds = model.get_input_embeddings()(batch.ids)
    sums, tokens = example_nll(model, embeds, batch.attention_mask, batch.labels)
    theirs = model(input_ids=batch.ids, labels=batch.labels).loss
    assert (sums / tokens).item() == pytest.approx(theirs.item(), rel=1e-5)


def test_an_example_without_target_is_refused(build, prompts, collate) -> None:
    model, batch = build("qwen2"), plain(collate, prompts, "right")
    batch.labels[2] = IGNORE
    with pytest.raises(ValueError, match="row 2 of the batch: expected target tokens"):
        example_nll(model, model.get_input_embeddings()(batch.ids), batch.attention_mask, batch.labels)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_part_before_the_first_trained_token_may_be_computed_first(
    build, prompts, collate, tokenizer, name
) -> None:
    """Values and gradients equal those of the whole prompt, for rows whose first slots differ in position."""
    same = [40, 41, 42, 43]
    model, batch = build(name), plain(collate, [replace(p, ids=[*same, *p.ids]) for p in prompts], "right")
    slot = tokenizer.convert_tokens_to_ids("<his_slot>")
    lead = prefix_span(batch, [slot])
    assert 0 < lead.shared < lead.still
    plain_embeds = model.get_input_embeddings()(batch.ids).detach()
    results = []
    for how in (lead, PrefixSpan()):
        soft = torch.zeros(plain_embeds.shape[-1], requires_grad=True)
        embeds = plain_embeds + (batch.ids == slot)[..., None] * soft
        sums, _ = example_nll(model, embeds, batch.attention_mask, batch.labels, how)
        results.append((sums, torch.autograd.grad(sums.sum(), soft)[0]))
    (fast, fast_grad), (slow, slow_grad) = results
    assert torch.allclose(fast, slow, atol=1e-4)
    largest = float(slow_grad.abs().max())
    assert largest > 1e-3
    assert torch.allclose(fast_grad, slow_grad, atol=1e-5 * max(1.0, largest), rtol=1e-4)  # single precision rounds so


def test_a_prefix_ends_before_slots_and_reviews_and_a_left_padded_batch_has_none(prompts, collate) -> None:
    batch = plain(collate, [replace(p, ids=[40, 41, 42, 43, *p.ids]) for p in prompts], "right")
    first_label = int((batch.labels != IGNORE).int().argmax(1).min())
    assert prefix_span(batch, []).still == first_label - 1
    column = next(t for t in range(first_label) if len(set(batch.ids[:, t].tolist())) > 1)
    assert prefix_span(batch, []).shared == column
    assert prefix_span(batch, [int(batch.ids[1, 2])]).still == 2
    assert prefix_span(plain(collate, prompts, "left"), []) == PrefixSpan()
