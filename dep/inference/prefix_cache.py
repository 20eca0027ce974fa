"""Computes keys and values of the prompts' beginning once, since it needs no gradient and prompts share a part of it.

    [ system text, equal in all prompts | item, first past review up to its soft token | soft tokens … review ]
      once, without gradients             once for each prompt, without gradients        with gradients

This is exact, since positions of a causal model do not see later positions. No trained parameter affects the positions
before the first soft token, and equal beginnings have equal keys and values. Where an adapter acts inside the LLM's
layers (LoRA, cross-attention), nothing is computed in this way.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from dep.types import IGNORE, Batch


class PrefixSpan(NamedTuple):
    """How many leading positions are equal in all prompts (`shared`), and how many need no gradient (`still`).

    The `shared` positions are the first of the `still` ones. These stand before the first soft token, and before the
    first position that predicts a token of a review.
    """

    shared: int = 0
    still: int = 0


def prefix_span(batch: Batch, injected_ids: Iterable[int]) -> PrefixSpan:
    """Measure these spans in a right-padded batch; for a left-padded batch they are empty.

    Args:
        batch: see `dep.types.Batch`.
        injected_ids: ids of tokens whose embeddings the soft prompt replaces: slot tokens and trained boundary tokens.
    """
    if not bool(batch.attention_mask[:, 0].all()):
        return PrefixSpan()
    injected = torch.tensor(sorted(injected_ids), device=batch.ids.device)
    stops_BT = torch.isin(batch.ids, injected)
    stops_BT[:, :-1] |= batch.labels[:, 1:] != IGNORE
    still = run_length(~stops_BT.any(0))
    return PrefixSpan(run_length((batch.ids == batch.ids[:1]).all(0)[:still]), still)


def positions(model: PreTrainedModel, attention_mask_BT: Tensor) -> dict[str, Tensor]:
    """Return position ids that count only real tokens; models with learned positions need them if padding is left.

    They are an argument of the model by name; the dict is empty for a model that takes no position ids.
    """
    if "position_ids" not in inspect.signature(model.forward).parameters:
        return {}
    return {"position_ids": (attention_mask_BT.long().cumsum(1) - 1).clamp(min=0)}


@torch.no_grad()
def keys_and_values(model: PreTrainedModel, embeds_BTD: Tensor, lead: PrefixSpan) -> DynamicCache:
    """Compute the cache of the first `lead.still` positions of a right-padded batch.

    Args:
        model: a causal LM whose `capabilities` include `prefix`.
        embeds_BTD: the input embeddings of the whole batch, without padding up to `lead.still`.
        lead: the result of `prefix_span`.
    """
    body = model.base_model
    cache = DynamicCache(config=model.config)
    if lead.shared:
        body(inputs_embeds=embeds_BTD[:1, : lead.shared], past_key_values=cache, use_cache=True)
        cache.batch_repeat_interleave(len(embeds_BTD))
    if lead.still > lead.shared:
        body(inputs_embeds=embeds_BTD[:, lead.shared : lead.still], past_key_values=cache, use_cache=True)
    return cache


def run_length(true: Tensor) -> int:
    """Return how many entries are True before the first one that is False."""
    return int(true.int().cumprod(0).sum())
