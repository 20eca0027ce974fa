"""DPL's representative peers: what others wrote of an item, one review from each cluster but the user's own.

Reviews of the item are clustered by k-means on their embeddings, as many clusters as peers are wanted and one; the
cluster whose centre is nearest to the user's review is the user's own, and is left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor

from dep.data.vectors.store import Vectors
from dep.types import Corpus, Slot


def representatives(own_E: Tensor, peers_PE: Tensor, count: int, seed: int = 0) -> list[int]:
    """Choose peers that stand for the rest.

    Args:
        own_E: embedding of the user's review.
        peers_PE: embeddings of others' reviews of the same item.
        count: how many at most.
        seed: of k-means' first centres.

    Returns:
        Indices into `peers_PE`, in order; all of them where there are no more than `count`.
    """
    if len(peers_PE) <= count:
        return list(range(len(peers_PE)))
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct reviews than clusters
        fitted = KMeans(count + 1, n_init=4, random_state=seed).fit(peers_PE.double().numpy())
    centres_CE = torch.from_numpy(fitted.cluster_centers_)
    own = int(torch.cdist(own_E.double()[None], centres_CE).argmin())
    distances_PC = torch.cdist(peers_PE.double(), centres_CE)
    return sorted({int(distances_PC[:, c].argmin()) for c in range(len(centres_CE)) if c != own})


class Peers:
    """What others wrote about the items of a corpus.

    Args:
        corpora: filtered corpora by category.
        vectors: their reviews' embeddings.
        pool: [N] bool by category, rows that may be looked at (no row that is a test or validation target).
    """

    def __init__(
        self, corpora: Mapping[str, Corpus], vectors: Mapping[str, Vectors], pool: Mapping[str, Tensor]
    ) -> None:
        self.corpora, self.vectors = corpora, vectors
        self._row: dict[str, dict[tuple[str, str, int], int]] = {}
        self._rows: dict[str, dict[str, list[int]]] = {}
        for category, corpus in corpora.items():
            self._row[category] = {(r.user, r.item, r.time): at for at, r in enumerate(corpus.reviews)}
            of_item = self._rows.setdefault(category, {})
            for at, review in enumerate(corpus.reviews):
                if bool(pool[category][at]):
                    of_item.setdefault(review.item, []).append(at)

    def __call__(self, category: str, slot: Slot, count: int, seed: int) -> list[str]:
        """Texts of at most `count` representative peers on a past review's item; none where nobody else reviewed it."""
        reviews, his_NE = self.corpora[category].reviews, self.vectors[category].his_NE
        mine = slot.review
        others = [at for at in self._rows[category].get(mine.item, []) if reviews[at].user != mine.user]
        own = self._row[category][mine.user, mine.item, mine.time]
        return [reviews[others[i]].text for i in representatives(his_NE[own], his_NE[others], count, seed)]
