"""The decoding loop: a token for every row at a time, with as little copied and read in vain as can be.

    [ system text, equal in all rows | padding, then the rest of each prompt | room for what is written ]
      read once                        a few rows at a time                    written in place

Reviews differ in length, so that most of what a full batch computes at its end is for rows that nobody reads any more:
rows that have ended are dropped. `transformers.generate` keeps them, reads the common beginning for each, and copies
all keys and values at each token. For what it alone can drive (recurrent states, layers that attend to a user beside
the prompt) `Generate` falls back on it.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection
from copy import deepcopy
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from dep.inference.likelihood import positions
from dep.inference.prefix_cache import run_length

_AHEAD = 64
"""Tokens that a row's room grows by."""
_ROWS = 16
"""Prompts read at a time: their activations fit into a processor's cache, and fill a GPU."""
_ENDED = 8
"""Ended rows are dropped when they are one in this many: dropping copies what stays."""


class TokenSampler(Protocol):
    """Chooses tokens, with a state for each row."""

    def draw(self, logits_BV: Tensor) -> Tensor:
        """Token ids [B, 1]."""

    def keep(self, rows: list[int]) -> None:
        """Go on with these rows alone."""


class PreallocatedLayer(DynamicLayer):
    """Keys and values of a layer with room ahead, in which new ones are written."""

    _room: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """See DynamicLayer."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if self._room is None or end > self._room[0].shape[-2]:
            shape = (*key_states.shape[:-2], end + _AHEAD, key_states.shape[-1])
            self._room = key_states.new_empty(shape), value_states.new_empty(shape)
            if start:
                assert self.keys is not None, "it holds tokens"
                assert self.values is not None, "it holds tokens"
                self._room[0][..., :start, :], self._room[1][..., :start, :] = self.keys, self.values
        self._room[0][..., start:end, :], self._room[1][..., start:end, :] = key_states, value_states
        self.keys, self.values = (room[..., :end, :] for room in self._room)
        return self.keys, self.values

    def batch_repeat_interleave(self, repeats: int) -> None:
        """See DynamicLayer."""
        super().batch_repeat_interleave(repeats)
        self._room = None

    def batch_select_indices(self, indices: Tensor) -> None:
        """See DynamicLayer."""
        if self._room is not None:
            end = self.get_seq_length()
            self._room = self._room[0][indices], self._room[1][indices]
            self.keys, self.values = (room[..., :end, :] for room in self._room)


@torch.no_grad()
def decode(
    model: PreTrainedModel,
    embeds_BTD: Tensor,
    attention_mask_BT: Tensor,
    draws: TokenSampler,
    stop: Collection[int],
    max_new_tokens: int,
    shared: int = 0,
) -> list[list[int]]:
    """Write on from a batch of prompts.

    Args:
        model: a causal LM that is `prefix.cacheable`.
        embeds_BTD: input embeddings, padded on the left.
        attention_mask_BT: 1 on real tokens.
        draws: chooses each next token.
        stop: token ids that end a row.
        max_new_tokens: after how many every row ends.
        shared: how many tokens all prompts begin with, fewer than the shortest has (`common_beginning`).

    Returns:
        For each row the ids of what was written, the one that ended it included.
    """
    texts: list[list[int]] = [[] for _ in embeds_BTD]
    rows, ended = list(range(len(texts))), set[int]()
    logits_BV, cache, mask_BT = _read(model, embeds_BTD, attention_mask_BT, shared)
    for _ in range(max_new_tokens):
        token_B1 = draws.draw(logits_BV.float())
        for row, token in zip(rows, token_B1[:, 0].tolist(), strict=True):
            if row not in ended:
                texts[row].append(token)
                if token in stop:
                    ended.add(row)
        going = [at for at, row in enumerate(rows) if row not in ended]
        if not going or len(texts[rows[going[0]]]) == max_new_tokens:
            break
        if (len(rows) - len(going)) * _ENDED >= len(rows):
            kept = torch.tensor(going, device=mask_BT.device)
            cache.batch_select_indices(kept)
            mask_BT, token_B1, rows = mask_BT[kept], token_B1[kept], [rows[at] for at in going]
            draws.keep(going)
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(mask_BT), 1)], 1)
        logits_BV = _next_logits(model, model.get_input_embeddings()(token_B1), mask_BT, cache)
    return texts


def common_beginning(ids_BT: Tensor, attention_mask_BT: Tensor, injected_ids: Collection[int]) -> int:
    """How many tokens all rows of a left-padded batch begin with, none of them a soft token; at least one is left over.

    Args:
        ids_BT: tokens.
        attention_mask_BT: 1 on real tokens.
        injected_ids: tokens whose embeddings are a row's own.
    """
    lengths_B = attention_mask_BT.sum(1)
    length = int(lengths_B.min()) - 1
    at_BL = (ids_BT.shape[1] - lengths_B).unsqueeze(1) + torch.arange(length, device=ids_BT.device)
    begin_BL = ids_BT.gather(1, at_BL)
    moving = torch.tensor(sorted(injected_ids), device=ids_BT.device)
    same_L = (begin_BL == begin_BL[:1]).all(0) & ~torch.isin(begin_BL[0], moving)
    return run_length(same_L)


def _read(
    model: PreTrainedModel, embeds_BTD: Tensor, mask_BT: Tensor, shared: int
) -> tuple[Tensor, DynamicCache, Tensor]:
    """Logits [B, V] after each prompt, keys and values, and the mask that goes with them."""
    common, plain = _room(model)
    if shared:
        first = embeds_BTD.shape[1] - int(mask_BT[0].sum())
        begin_1LD = embeds_BTD[:1, first : first + shared]
        model.base_model(inputs_embeds=begin_1LD, past_key_values=common, use_cache=True)
        mask_BT = torch.cat([mask_BT.new_ones(len(mask_BT), shared), mask_BT[:, : mask_BT.shape[1] - shared]], 1)
        embeds_BTD = embeds_BTD[:, shared:]
    caches, logits = [], []
    size = _ROWS if plain else len(mask_BT)
    for embeds_RTD, mask_RT in zip(embeds_BTD.split(size), mask_BT.split(size), strict=True):
        cache = deepcopy(common)
        if shared:
            cache.batch_repeat_interleave(len(mask_RT))
        logits.append(_next_logits(model, embeds_RTD, mask_RT, cache))
        caches.append(cache)
    whole = caches[0]
    if len(caches) > 1:
        for layer, *others in zip(*(cache.layers for cache in caches), strict=True):
            layer.keys = torch.cat([layer.keys, *(other.keys for other in others)])
            layer.values = torch.cat([layer.values, *(other.values for other in others)])
            layer._room = None
    return torch.cat(logits), whole, mask_BT


def _room(model: PreTrainedModel) -> tuple[DynamicCache, bool]:
    """An empty cache, and whether all of its layers are of the plain kind, which have room and can be put together."""
    cache = DynamicCache(config=model.config)
    plain = all(type(layer) is DynamicLayer for layer in cache.layers)
    if plain:
        cache.layers = [PreallocatedLayer() for _ in cache.layers]
    return cache, plain and bool(cache.layers)


def _next_logits(model: PreTrainedModel, embeds_BTD: Tensor, mask_BT: Tensor, cache: DynamicCache) -> Tensor:
    """Logits [B, V] after the last of `embeds_BTD`; `mask_BT` covers what the cache holds too."""
    places = {name: value[:, -embeds_BTD.shape[1] :] for name, value in positions(model, mask_BT).items()}
    last_alone = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
    logits: Tensor = model(
        inputs_embeds=embeds_BTD, attention_mask=mask_BT, past_key_values=cache, use_cache=True, **places, **last_alone
    ).logits
    return logits[:, -1]
