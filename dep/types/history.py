"""A batch of user histories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from dep.types import UserHistory


class UserHistoryBatch(NamedTuple):
    """The `UserHistory` of B examples, padded at the end to the longest; `present` [B, L] is False on padding.

    Each field has the shape that it has in `UserHistory`, with B in front. What a history lacks is zero.
    """

    his: Tensor
    item: Tensor
    rating: Tensor
    days: Tensor
    category: Tensor
    query: Tensor
    present: Tensor
    diff: Tensor
    peers: Tensor
    asked_rating: Tensor
    item_peers: Tensor
    item_peer_count: Tensor

    @classmethod
    def of(cls, pasts: Sequence[UserHistory]) -> UserHistoryBatch:
        """Pad the histories of several users into one batch."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        def values(name: str, like: str) -> list[Tensor]:
            found = [getattr(past, name) for past in pasts]
            return [torch.zeros_like(getattr(p, like)) if x is None else x for p, x in zip(pasts, found, strict=True)]

        def along(name: str, like: str = "his") -> Tensor:
            return pad_sequence(values(name, like), batch_first=True)

        return cls(
            his=along("his"),
            item=along("item"),
            rating=along("rating"),
            days=along("days"),
            category=torch.tensor([past.category for past in pasts]),
            query=torch.stack([past.query for past in pasts]),
            present=pad_sequence([torch.ones(len(past.his), dtype=torch.bool) for past in pasts], batch_first=True),
            diff=along("diff"),
            peers=along("peers", "rating"),
            asked_rating=torch.tensor([past.asked_rating for past in pasts]),
            item_peers=torch.stack(values("item_peers", "query")),
            item_peer_count=torch.tensor([float(past.item_peer_count) for past in pasts]),
        )
