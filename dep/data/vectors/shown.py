"""Differences weighted by profile distance that read no review of the author but those that a prompt shows.

    w_j = softmax_j(d_j / Σ_k d_k),   d_j = |m_u - m_j|,   e_diff = e_his - Σ_j w_j e_uj

m_u -> the mean vector of the author's reviews that a prompt shows   m_j -> a peer's mean over their reviews in the pool
e_uj -> a peer's mean vector on the item

With the author's mean over the whole profile, as in the public code, a prompt of K past reviews also depends on reviews
that it withholds, so a sweep over K compares more than K.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from dep.types import Corpus, Vectors


class ShownDifferences:
    """Computes the differences of the reviews in one prompt.

    Args:
        corpus: the reviews, N of them.
        vectors: their vectors; `peers_N` says which reviews have a difference.
        pool_N: [N] bool, rows that count as a peer's review.
    """

    def __init__(self, corpus: Corpus, vectors: Vectors, pool_N: Tensor) -> None:
        self._vectors = vectors
        self._users = [review.user for review in corpus.reviews]
        self._items = [review.item for review in corpus.reviews]
        self._of_item: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        self._of_user: dict[str, list[int]] = defaultdict(list)
        for row in pool_N.nonzero()[:, 0].tolist():
            self._of_item[self._items[row]][self._users[row]].append(row)
            self._of_user[self._users[row]].append(row)
        self._profile = cache(lambda user: self._mean(self._of_user[user]))

    def __call__(self, rows: Sequence[int], shown: Sequence[int]) -> dict[int, Tensor]:
        """The difference [E] of each of `rows` that has peers.

        Args:
            rows: reviews of one author.
            shown: the rows of all reviews of that author that the prompt shows, as text or as vectors.
        """
        own_E = self._mean(shown) if shown else None
        return {row: self._difference(row, own_E) for row in rows if own_E is not None and self._vectors.peers_N[row]}

    def _difference(self, row: int, own_E: Tensor) -> Tensor:
        peers = {u: rows for u, rows in self._of_item[self._items[row]].items() if u != self._users[row]}
        distance_M = torch.stack([(own_E - self._profile(user)).norm() for user in peers])
        weight_M = (distance_M / distance_M.sum().clamp(min=1e-300)).softmax(0)
        mean_ME = torch.stack([self._mean(rows) for rows in peers.values()])
        return (self._vectors.his_NE[row].double() - weight_M @ mean_ME).float()

    def _mean(self, rows: Sequence[int]) -> Tensor:
        mean_E: Tensor = self._vectors.his_NE[list(rows)].double().mean(0)
        return mean_E
