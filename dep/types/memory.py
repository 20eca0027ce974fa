"""A user's past reviews as the LLM read them: what an adapter that acts at the LLM's output reads of a user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class ReviewMemory(NamedTuple):
    """One past review as the frozen LLM read it, after the item, rating and title and without any other review."""

    tokens: Tensor
    """The T token ids of the review [T], with the token that ends it."""
    states: Tensor
    """The states [T, D] at the input of the LLM's output head; state t predicts token t."""
    expected_ids: Tensor
    """The n token ids [n] that the LLM expected somewhere in the review."""
    expected: Tensor
    """How often the LLM expected each of them [n]: the sum of its probability over the T positions."""


class MemoryBatch(NamedTuple):
    """The past reviews of B examples. P counts all past tokens of an example, padded to the longest."""

    tokens: Tensor
    """[B, P] token ids."""
    states: Tensor
    """[B, P, D] hidden states."""
    present: Tensor
    """[B, P] bool, False on padding."""
    expected_ids: Tensor
    """[B, n] token ids; an id may occur several times."""
    expected: Tensor
    """[B, n] expected counts, 0 on padding."""

    @classmethod
    def of(cls, memories: Sequence[Sequence[ReviewMemory]], width: int) -> MemoryBatch:
        """Join the past reviews of each example, and pad the examples to one length.

        Args:
            memories: the past reviews of each example; an example may have none.
            width: D.
        """
        import torch
        from torch.nn.utils.rnn import pad_sequence

        def joined(part: int, empty: Tensor) -> Tensor:
            rows = [torch.cat([empty, *(memory[part] for memory in of_user)]) for of_user in memories]
            return pad_sequence(rows, batch_first=True)

        ids, numbers = torch.zeros(0, dtype=torch.long), torch.zeros(0)
        lengths = torch.tensor([sum(len(memory.tokens) for memory in of_user) for of_user in memories])
        tokens_BP = joined(0, ids)
        return cls(
            tokens=tokens_BP,
            states=joined(1, torch.zeros(0, width)),
            present=torch.arange(tokens_BP.shape[1]) < lengths[:, None],
            expected_ids=joined(2, ids),
            expected=joined(3, numbers),
        )

    def to(self, device: torch.device | str) -> MemoryBatch:
        """Return a copy with every tensor on `device`."""
        return MemoryBatch(*(tensor.to(device) for tensor in self))
