"""Computes the mean vector of what other users wrote about the item of a review: the part that Eq. 4 subtracts.

    mean = (1/m) sum_j e_uj          e_diff = e_his - mean

It needs no vector of the review itself, so that it can also be had for a review that is yet to be written. All peers
weigh the same; with the weighting `profile_distance` only the differences of past reviews are weighted otherwise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor

from dep.data.vectors.difference import another_item
from dep.data.vectors.settings import DifferenceConfig
from dep.types import Corpus, Vectors


class PeerMeans:
    """Returns the mean vector of a review's peers.

    Args:
        corpus: the reviews, N of them.
        vectors: the vectors of these reviews; `peers_N` says which reviews have peers.
        pool_N: [N] bool, True for reviews that count as a peer's.
        difference: which peers count: those of `any` time or `earlier` ones, of the item or of another (the control).
    """

    def __init__(self, corpus: Corpus, vectors: Vectors, pool_N: Tensor, difference: DifferenceConfig) -> None:
        self._reviews, self._vectors = corpus.reviews, vectors
        self._earlier = difference.time == "earlier"
        self._rows: dict[str, list[int]] = defaultdict(list)
        for row in pool_N.nonzero()[:, 0].tolist():
            self._rows[corpus.reviews[row].item].append(row)
        names = sorted({review.item for review in corpus.reviews})
        sources = another_item(len(names)).tolist() if difference.weighting == "other_item" else range(len(names))
        self._source = {name: names[source] for name, source in zip(names, sources, strict=True)}

    def __call__(self, row: int) -> tuple[Tensor, int]:
        """Return the mean [E] over the peers of the review in `row`, and their number; zero and 0 without peers.

        A peer with several reviews of the item counts once, with their mean. The author's own reviews never count.
        """
        review = self._reviews[row]
        if not int(self._vectors.peers_N[row]):
            return self._mean({})
        return self.of_item(review.item, review.user, review.time)

    def of_item(self, item: str, user: str, time: int | None = None) -> tuple[Tensor, int]:
        """Return the mean [E] over an item's reviews by others than `user`, and their number, as `__call__` does.

        Args:
            item: the identifier of an item of the corpus.
            user: whose own reviews do not count.
            time: where only earlier peers count, the time before which reviews count; None for all.
        """
        rows_of: dict[str, list[int]] = defaultdict(list)
        for other in self._rows[self._source[item]]:
            peer = self._reviews[other]
            if peer.user != user and (not self._earlier or time is None or peer.time < time):
                rows_of[peer.user].append(other)
        return self._mean(rows_of)

    def _mean(self, rows_of: Mapping[str, list[int]]) -> tuple[Tensor, int]:
        """Return the mean [E] over peers, given the rows of each, and their number."""
        his_NE = self._vectors.his_NE
        if not rows_of:
            return torch.zeros(his_NE.shape[1]), 0
        rows = [other for rows in rows_of.values() for other in rows]
        share_M = torch.tensor([1.0 / len(own) for own in rows_of.values() for _ in own], dtype=torch.float64)
        return (share_M @ his_NE[rows].double() / len(rows_of)).float(), len(rows_of)
