"""Computes differences whose weights depend only on those of the author's reviews that a prompt shows.

    w_j = softmax_j(d_j / Σ_k d_k),   d_j = |m_u - m_j|,   e_diff = e_his - Σ_j w_j e_uj

m_u is the mean vector of those of the author's reviews that the prompt shows. m_j is the mean vector of all reviews by
peer j in the peer pool. e_uj is the mean vector of the peer's reviews of the item.

In the authors' code, m_u is the mean over the author's whole profile. A prompt of K past reviews then also depends on
reviews that it does not show, so that a sweep over K varies more than K.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from dep.types import Corpus, Vectors


class ShownDifferences:
    """Computes the differences of the reviews in a prompt.

    Args:
        corpus: the reviews, N of them.
        vectors: the vectors of these reviews; `peers_N` says which reviews have a difference.
        pool_N: [N] bool, True for reviews that count as a peer's.
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
        """Compute the difference [E] of each review in `rows` that has peers, by row.

        Args:
            rows: reviews of one author.
            shown: rows of all reviews by this author that the prompt shows, as text or as vectors.
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
