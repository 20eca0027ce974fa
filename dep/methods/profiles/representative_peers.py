"""DPL's representative peers: one review of the item from each cluster except the user's own.

K-means on the embeddings makes one cluster more than the wanted number of peers; the cluster whose centre is nearest to
the user's review is the user's own and is left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor

from dep.data.vectors.store import Vectors
from dep.types import Corpus, Slot


def representatives(own_E: Tensor, peers_PE: Tensor, count: int, seed: int = 0) -> list[int]:
    """Choose representative peers.

    Args:
        own_E: embedding of the user's review.
        peers_PE: embeddings of others' reviews of the same item.
        count: most peers to choose.
        seed: of k-means' initial centres.

    Returns:
        Sorted indices into `peers_PE`; all of them if there are at most `count`.
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
    """Finds representative peers of past reviews.

    Args:
        corpora: filtered corpora by category.
        vectors: their reviews' embeddings.
        pool: [N] bool by category, the rows that may be used (no test or validation target).
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
        """Texts of at most `count` representative peers of a past review; empty if nobody else reviewed its item."""
        reviews, his_NE = self.corpora[category].reviews, self.vectors[category].his_NE
        past = slot.review
        others = [at for at in self._rows[category].get(past.item, []) if reviews[at].user != past.user]
        own = self._row[category][past.user, past.item, past.time]
        return [reviews[others[i]].text for i in representatives(his_NE[own], his_NE[others], count, seed)]
