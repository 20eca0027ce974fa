"""Caches of keys and values that keep all tokens, for decoding and for beginnings that are read once."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

_AHEAD = 64
"""Number of tokens by which the room of a cache layer grows."""


class PreallocatedLayer(DynamicLayer):
    """The cache of one layer, with preallocated tensors in which new keys and values are written in place."""

    _room: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append keys and values to the cache and return all of them, as in DynamicLayer."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if self._room is None or end > self._room[0].shape[-2]:
            rows_heads = key_states.shape[:-2]
            self._room = (
                key_states.new_empty(*rows_heads, end + _AHEAD, key_states.shape[-1]),
                value_states.new_empty(*rows_heads, end + _AHEAD, value_states.shape[-1]),  # MLA: another width
            )
            if start:
                assert self.keys is not None, "it holds tokens"
                assert self.values is not None, "it holds tokens"
                self._room[0][..., :start, :], self._room[1][..., :start, :] = self.keys, self.values
        self._room[0][..., start:end, :], self._room[1][..., start:end, :] = key_states, value_states
        self.keys, self.values = (room[..., :end, :] for room in self._room)
        return self.keys, self.values

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat each text of the cache, as in DynamicLayer."""
        super().batch_repeat_interleave(repeats)
        self._room = None

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep only the texts at `indices`, as in DynamicLayer."""
        if self._room is not None:
            end = self.get_seq_length()
            self._room = self._room[0][indices], self._room[1][indices]
            self.keys, self.values = (room[..., :end, :] for room in self._room)


def plain_cache(model: PreTrainedModel, layer: type[DynamicLayer] = PreallocatedLayer) -> DynamicCache | None:
    """Return an empty cache whose layers keep all keys and values; None for a model that keeps other states.

    Layers with an attention window also keep all tokens; their mask hides what lies outside the window.

    Args:
        model: a causal LM of transformers.
        layer: class of the layers. One that writes in place (the default) cannot be used with gradients.
    """
    cache = DynamicCache(config=model.config)
    if not cache.layers or any(type(own) not in (DynamicLayer, DynamicSlidingWindowLayer) for own in cache.layers):
        return None
    cache.layers = [layer() for _ in cache.layers]
    return cache
