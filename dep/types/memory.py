"""A user's past reviews as the LLM read them: what an adapter that acts at the LLM's output reads of a user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Memory(NamedTuple):
    """Past reviews as the frozen LLM read them, each after its item, rating and title and without any other review."""

    tokens: Tensor
    """The P token ids of the reviews [P], one review after another, each with the token that ends it."""
    states: Tensor
    """The states [P, D] at the input of the LLM's output head; state p predicts token p."""
    expected_ids: Tensor
    """The token ids [n] that the LLM expected somewhere in the reviews; an id may occur several times."""
    expected: Tensor
    """How often the LLM expected each of them [n]: the sum of its probability over the positions of a review."""

    strength: tuple[float, float] = (1.0, 1.0)
    """How strongly recall (*his*) and word differences (*diff*) count; 1 as in the training, 0 for not at all."""

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The four tensors."""
        return self[:4]

    @classmethod
    def joined(cls, memories: Sequence[Memory]) -> Memory | None:
        """Join the memories of several reviews of one user; return None where there are none."""
        import torch

        if not memories:
            return None
        tokens, states, ids, expected = map(torch.cat, zip(*(one.tensors for one in memories), strict=True))
        return cls(tokens, states, ids, expected, memories[0].strength)

    def to(self, device: torch.device | str) -> Memory:
        """Return a copy with every tensor on `device`."""
        tokens, states, ids, expected = (tensor.to(device) for tensor in self.tensors)
        return Memory(tokens, states, ids, expected, self.strength)
