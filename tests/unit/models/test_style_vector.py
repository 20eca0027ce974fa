"""Steering by a style vector against the LLM's last layer by hand, in likelihood and in generation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dep.data.collate import Collator
from dep.models.adapters.style_vector import StyleVectorAdapter
from dep.models.backbones.layers import decoder_layers
from dep.types import Batch, Prompt, UserHistory

D, ALPHA = 32, 0.5


def prompt(key: str, ids: list[int], target: list[int]) -> Prompt:
    style = torch.randn(1, D, generator=torch.Generator().manual_seed(len(ids)))
    nothing = torch.zeros(1)
    return Prompt(key, ids, target, user_history=UserHistory(style, style[:, :0], nothing, nothing, 0, style[0, :0]))


PROMPTS = [prompt("a", [20, 21, 22, 23, 24], [30, 31, 1]), prompt("b", [25, 26], [32, 1])]


def layer_output(model, batch: Batch) -> Tensor:
    """The output of the last layer, before the final norm, without steering."""
    seen: list[Tensor] = []
    handle = decoder_layers(model)[1].register_forward_hook(lambda layer, args, out: seen.append(out))
    model(input_ids=batch.ids, attention_mask=batch.attention_mask)
    handle.remove()
    return seen[0][0] if isinstance(seen[0], tuple) else seen[0]


@torch.no_grad()
def test_activations_are_shifted_from_the_prompt_s_last_token_on(model) -> None:
    batch = Collator(0)(PROMPTS)
    plain = model(input_ids=batch.ids, attention_mask=batch.attention_mask).logits
    hidden = layer_output(model, batch)
    for b, first in enumerate([4, 1]):
        hidden[b, first:] += ALPHA * PROMPTS[b].user_history.his[0]  # type: ignore[union-attr]
    with StyleVectorAdapter(1, ALPHA).attached(model, batch):
        steered = model(input_ids=batch.ids, attention_mask=batch.attention_mask).logits
    assert torch.allclose(steered, model.lm_head(model.model.norm(hidden)), atol=1e-5)
    for b, (before, end) in enumerate([(4, 8), (1, 4)]):
        assert torch.allclose(steered[b, :before], plain[b, :before], atol=1e-6)
        assert (steered[b, before:end] - plain[b, before:end]).abs().amax(-1).min() > 1e-3
    assert torch.equal(model(input_ids=batch.ids, attention_mask=batch.attention_mask).logits, plain)


@pytest.mark.parametrize("layer", [0, 1])
@torch.no_grad()
def test_generation_steers_the_positions_that_the_likelihood_steers(model, layer: int) -> None:
    adapter, whole = StyleVectorAdapter(layer, ALPHA), Collator(0)(PROMPTS[:1])
    with adapter.attached(model, whole):
        expected = model(input_ids=whole.ids).logits[0, 4:7]
    start = Collator(0, side="left", answers=False)(PROMPTS)
    mask, places = start.attention_mask, (start.attention_mask.cumsum(1) - 1).clamp(min=0)
    with adapter.attached(model, start):
        out = model(input_ids=start.ids, attention_mask=mask, position_ids=places, use_cache=True)
        found = [out.logits[0, -1]]
        for at, token in enumerate([30, 31]):
            mask = torch.cat([mask, mask.new_ones(2, 1)], 1)
            out = model(
                input_ids=torch.tensor([[token], [32]]), attention_mask=mask, past_key_values=out.past_key_values,
                position_ids=places[:, -1:] + 1 + at, use_cache=True,
            )  # fmt: skip
            found.append(out.logits[0, -1])
        again = model(input_ids=torch.cat([start.ids, torch.tensor([[30, 31], [32, 32]])], 1)[:1]).logits[0, -3:]
    assert torch.allclose(torch.stack(found), expected, atol=1e-5)
    assert torch.allclose(again, expected, atol=1e-5)  # the loop that reads everything again for each token


def test_a_batch_without_style_vectors_is_refused(model) -> None:
    batch = Collator(0)(PROMPTS)
    batch.user_history = None
    steer = StyleVectorAdapter(0, 1.0).attached(model, batch)
    with pytest.raises(ValueError, match=r"style vector.*batch\.user_history"), steer:
        pass


def test_it_is_not_prefix_safe() -> None:
    assert not StyleVectorAdapter(0, 1.0).prefix_safe
