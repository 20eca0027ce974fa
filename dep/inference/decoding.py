"""The decoding loop: one token a row at a time, without copying the cache and without work on ended rows.

    [ system text, equal in all rows | padding, then the rest of each prompt | room for new tokens ]
      read once                        a few rows at a time                    written in place

Reviews differ in length: near the end of a batch most rows have ended, and computing them is wasted, so ended rows are
dropped. `transformers.generate` keeps them, reads the common beginning once for each row, and copies all keys and
values at each token. `Generate` uses it for models that this loop cannot drive (recurrent states, layers that attend
to a user beside the prompt).
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
"""How many tokens a cache layer grows by."""
_ROWS = 16
"""Prompts read at a time: few enough for a processor's cache, enough to fill a GPU."""
_ENDED = 8
"""Ended rows are dropped once they are one in this many: dropping copies the cache of the remaining rows."""


class TokenSampler(Protocol):
    """Chooses tokens; keeps a state for each row."""

    def draw(self, logits_BV: Tensor) -> Tensor:
        """Token ids [B, 1]."""

    def keep(self, rows: list[int]) -> None:
        """Drop the state of all other rows."""


class PreallocatedLayer(DynamicLayer):
    """Keys and values of a layer in preallocated tensors: new ones are written in place."""

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
    """Continue a batch of prompts.

    Args:
        model: a causal LM that is `prefix_cache.cacheable`.
        embeds_BTD: input embeddings, padded on the left.
        attention_mask_BT: 1 on real tokens.
        draws: chooses the next tokens.
        stop: token ids that end a row.
        max_new_tokens: longest text, in tokens.
        shared: length of the common beginning of all prompts, less than the shortest prompt (`common_beginning`).

    Returns:
        For each row the ids of its text, the stop token included.
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
        active = [at for at, row in enumerate(rows) if row not in ended]
        if not active or len(texts[rows[active[0]]]) == max_new_tokens:
            break
        if (len(rows) - len(active)) * _ENDED >= len(rows):
            remaining = torch.tensor(active, device=mask_BT.device)
            cache.batch_select_indices(remaining)
            mask_BT, token_B1, rows = mask_BT[remaining], token_B1[remaining], [rows[at] for at in active]
            draws.keep(active)
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(mask_BT), 1)], 1)
        logits_BV = _next_logits(model, model.get_input_embeddings()(token_B1), mask_BT, cache)
    return texts


def common_beginning(ids_BT: Tensor, attention_mask_BT: Tensor, injected_ids: Collection[int]) -> int:
    """Length of the common beginning of a left-padded batch, up to the first soft token.

    At least one token of each row is left over, so that every row has a last position to read.

    Args:
        ids_BT: tokens.
        attention_mask_BT: 1 on real tokens.
        injected_ids: tokens whose embeddings differ from row to row.
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
    """Read the prompts: logits [B, V] after each, the cache, and the mask of what the cache holds."""
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
    merged = caches[0]
    if len(caches) > 1:
        for layer, *others in zip(*(cache.layers for cache in caches), strict=True):
            layer.keys = torch.cat([layer.keys, *(other.keys for other in others)])
            layer.values = torch.cat([layer.values, *(other.values for other in others)])
            layer._room = None
    return torch.cat(logits), merged, mask_BT


def _room(model: PreTrainedModel) -> tuple[DynamicCache, bool]:
    """An empty cache, and whether all of its layers are plain ones, which can be preallocated and concatenated."""
    cache = DynamicCache(config=model.config)
    plain = all(type(layer) is DynamicLayer for layer in cache.layers)
    if plain:
        cache.layers = [PreallocatedLayer() for _ in cache.layers]
    return cache, plain and bool(cache.layers)


def _next_logits(model: PreTrainedModel, embeds_BTD: Tensor, mask_BT: Tensor, cache: DynamicCache) -> Tensor:
    """Logits [B, V] after the last position of `embeds_BTD`; `mask_BT` covers the cached positions too."""
    position_ids = {name: value[:, -embeds_BTD.shape[1] :] for name, value in positions(model, mask_BT).items()}
    last_only = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
    logits: Tensor = model(
        inputs_embeds=embeds_BTD,
        attention_mask=mask_BT,
        past_key_values=cache,
        use_cache=True,
        **position_ids,
        **last_only,
    ).logits
    return logits[:, -1]
