"""Grouped attention and reading prompts in parts give the same result as transformers' own attention."""

from __future__ import annotations

import pytest
import torch
from transformers import DynamicCache

from dep.inference.decoding import PreallocatedLayer, common_beginning
from dep.inference.likelihood import example_nll
from dep.inference.prefix_cache import prefix_span
from dep.models.backbones.gqa_attention import NAME, use_gqa_attention


@pytest.fixture
def pair(bare_model):
    """The same model twice: unchanged, and with grouped attention."""
    plain, ours = bare_model("llama", vocab=340), bare_model("llama", vocab=340)
    assert plain.config.num_attention_heads == 2 * plain.config.num_key_value_heads
    use_gqa_attention(ours)
    assert (plain.config._attn_implementation, ours.config._attn_implementation) == ("sdpa", NAME)
    return plain, ours


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_likelihoods_and_gradients_equal_those_of_plain_attention(
    pair, prompts, collate, tokenizer, side: str, dtype: torch.dtype, within: float
) -> None:
    batch = collate(prompts, side)
    lead = prefix_span(batch, tokenizer.convert_tokens_to_ids(["<his_slot>", "<diff_slot>"]))
    found = []
    for model in (one.to(dtype) for one in pair):
        embeds = model.get_input_embeddings()(batch.ids).detach().requires_grad_()
        sums, tokens = example_nll(model, embeds, batch.attention_mask, batch.labels, lead)
        (sums / tokens).mean().backward()
        found.append((sums, embeds.grad))
    assert torch.allclose(found[0][0].double(), found[1][0].double(), rtol=within)
    assert torch.allclose(found[0][1].double(), found[1][1].double(), atol=within)


def test_tokens_one_by_one_get_the_logits_of_the_full_pass(pair) -> None:
    ids = torch.arange(20, 38).view(2, 9)
    mask = torch.ones_like(ids)
    mask[0, :3] = 0
    places = (mask.cumsum(1) - 1).clamp(min=0)
    whole = pair[0](ids, attention_mask=mask, position_ids=places).logits
    cache = DynamicCache(config=pair[1].config)
    cache.layers = [PreallocatedLayer() for _ in cache.layers]
    for first, last in ((0, 5), (5, 6), (6, 7), (7, 9)):
        logits = pair[1](
            ids[:, first:last], attention_mask=mask[:, :last], position_ids=places[:, first:last],
            past_key_values=cache, use_cache=True,
        ).logits  # fmt: skip
        assert torch.allclose(
            logits[mask[:, first:last].bool()], whole[:, first:last][mask[:, first:last].bool()], atol=1e-5
        )


def test_a_preallocated_layer_grows_and_its_rows_can_be_repeated_and_dropped() -> None:
    draw, layer, whole = torch.Generator().manual_seed(0), PreallocatedLayer(), []
    for length in (3, 1, 70, 1, 130):
        new = torch.randn(2, 2, length, 4, generator=draw)
        whole.append(new)
        keys, values = layer.update(new, -new)
        assert torch.equal(keys, torch.cat(whole, 2))
        assert torch.equal(values, -keys)
    layer.batch_select_indices(torch.tensor([1]))
    layer.batch_repeat_interleave(3)
    new = torch.randn(3, 2, 1, 4, generator=draw)
    expected = torch.cat([torch.cat(whole, 2)[[1, 1, 1]], new], 2)
    assert torch.equal(layer.update(new, -new)[0], expected)


def test_a_common_beginning_ends_before_a_soft_token_and_leaves_a_last_token() -> None:
    ids = torch.tensor([[0, 0, 5, 6, 7, 9], [5, 6, 7, 9, 8, 2], [0, 5, 6, 7, 9, 8]])
    mask = torch.tensor([[0, 0, 1, 1, 1, 1], [1] * 6, [0, 1, 1, 1, 1, 1]])
    assert common_beginning(ids, mask, []) == 3
    assert common_beginning(ids, mask, [7, 11]) == 2
    assert common_beginning(ids, mask, [5]) == 0
    assert common_beginning(ids[:1], mask[:1], []) == 3
