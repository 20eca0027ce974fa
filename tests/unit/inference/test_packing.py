"""Packed examples give the same values and gradients as each alone; neighbours do not leak."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM, MambaConfig, RecurrentGemmaConfig

from dep.inference.likelihood import example_nll
from dep.inference.packing import pack, supports_packing


def test_padding_is_left_out_and_positions_start_again() -> None:
    embeds = torch.arange(12.0).view(3, 4, 1)
    real = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 1, 1]]).bool()
    row = pack(embeds, real)
    assert row.embeds[0, :, 0].tolist() == [0, 1, 2, 3, 4, 5, 9, 10, 11]
    assert row.positions.tolist() == [[0, 1, 2, 3, 0, 1, 0, 1, 2]]


@pytest.mark.parametrize("name", ["qwen2", "llama", "gpt2", "gemma2"])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_packed_likelihoods_and_gradients_equal_those_of_padded_rows(
    bare_model, prompts, collate, name: str, side: str, dtype: torch.dtype, within: float
) -> None:
    model, batch = bare_model(name, vocab=340).to(dtype), collate(prompts, side)
    assert supports_packing(model)
    given = model.get_input_embeddings()(batch.ids).detach()
    found = []
    for packed in (True, False):
        embeds = given.clone().requires_grad_()
        sums, tokens = example_nll(model, embeds, batch.attention_mask, batch.labels, packed=packed)
        found.append((sums / tokens, torch.autograd.grad((sums / tokens).mean(), embeds)[0]))
    (ours, our_grad), (theirs, their_grad) = found
    real = batch.attention_mask.bool()
    assert torch.allclose(ours.double(), theirs.double(), rtol=within, atol=within)
    assert torch.allclose(our_grad[real].double(), their_grad[real].double(), rtol=within, atol=within)
    assert (our_grad[~real] == 0).all()


def test_a_neighbour_changes_nothing_but_would_with_an_all_ones_mask(bare_model, prompts, collate) -> None:
    model, batch = bare_model("qwen2", vocab=340), collate(prompts)
    embeds = model.get_input_embeddings()(batch.ids).detach()
    other = embeds.clone()
    other[0] += 1.0  # the row before
    read = [example_nll(model, x, batch.attention_mask, batch.labels, packed=True)[0] for x in (embeds, other)]
    assert torch.equal(read[0][1:], read[1][1:])
    assert not torch.allclose(read[0][0], read[1][0], rtol=1e-2)
    leaking = []
    for x in (embeds, other):
        row = pack(x, batch.attention_mask.bool())
        mask = torch.ones(row.positions.shape, dtype=torch.long)
        leaking.append(model(inputs_embeds=row.embeds, position_ids=row.positions, attention_mask=mask).logits)
    first = int(batch.attention_mask[0].sum())
    assert (leaking[0] - leaking[1])[0, first:].abs().max() > 0.1


def test_a_model_that_carries_a_state_across_examples_is_detected() -> None:
    shape = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 3}
    mamba = AutoModelForCausalLM.from_config(MambaConfig(**shape, state_size=4))
    recurrent = AutoModelForCausalLM.from_config(
        RecurrentGemmaConfig(**shape, num_attention_heads=4, intermediate_size=64, lru_width=32)
    )
    assert not supports_packing(mamba.eval())
    assert not supports_packing(recurrent.eval())


def test_packing_a_backbone_that_mixes_examples_is_refused(make_lit, monkeypatch) -> None:
    monkeypatch.setattr("dep.training.module.supports_packing", lambda model: False)
    refused = r"train\.packing=always: expected a backbone that keeps packed examples apart"
    with pytest.raises(ValueError, match=refused):
        assert make_lit(packing="always").packs
    assert not make_lit(packing="auto").packs


@pytest.mark.parametrize(
    ("attention", "packs"), [("flash_attention_2", True), ("flex_attention", True), ("sdpa", False)]
)
def test_auto_packs_where_the_attention_kernel_skips_other_examples(
    make_lit, monkeypatch, attention: str, packs: bool
) -> None:
    monkeypatch.setattr("dep.training.module.supports_packing", lambda model: True)
    lit = make_lit(packing="auto")
    monkeypatch.setattr(lit.backbone.config, "_attn_implementation_internal", attention)
    assert lit.packs == packs
