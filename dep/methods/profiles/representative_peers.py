"""Finds DPL's representative peers of a review, which are other users' reviews of the same item.

K-means divides the embeddings of the item's reviews into one cluster more than the wanted number of peers. The cluster
whose centre is nearest to the user's review is the user's own and is left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor

from dep.data.vectors.store import Vectors
from dep.types import Corpus, Slot


def representatives(own_E: Tensor, peers_PE: Tensor, count: int, seed: int = 0) -> list[int]:
    """Choose the review that is nearest to the centre of each cluster, except for the user's own cluster.

    Args:
        own_E: [E], the embedding of the user's review.
        peers_PE: [P, E], the embeddings of P other users' reviews of the same item.
        count: largest number of peers.
        seed: seed of the initial centres of k-means.

    Returns:
        Indices into `peers_PE` in ascending order; all indices if P is at most `count`.
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
    """Finds the representative peers of a past review.

    Args:
        corpora: the filtered corpora by category.
        vectors: the embeddings of the N reviews of each category.
        pool: for each category [N] bool, True for reviews that may be read; test and validation targets may not.
    """

    def __init__(
        self, corpora: Mapping[str, Corpus], vectors: Mapping[str, Vectors], pool: Mapping[str, Tensor]
    ) -> None:
        self.corpora, self.vectors = corpora, vectors
        self._row: dict[str, dict[tuple[str, str, int, str], int]] = {}
        self._rows: dict[str, dict[str, list[int]]] = {}
        for category, corpus in corpora.items():
            self._row[category] = {(r.user, r.item, r.time, r.text): at for at, r in enumerate(corpus.reviews)}
            rows_by_item = self._rows.setdefault(category, {})
            for at, review in enumerate(corpus.reviews):
                if bool(pool[category][at]):
                    rows_by_item.setdefault(review.item, []).append(at)

    def __call__(self, category: str, slot: Slot, count: int, seed: int) -> list[str]:
        """Return the texts of at most `count` representative peers; none if nobody else reviewed the item."""
        reviews, his_NE = self.corpora[category].reviews, self.vectors[category].his_NE
        past = slot.review
        others = [at for at in self._rows[category].get(past.item, []) if reviews[at].user != past.user]
        own = self._row[category][past.user, past.item, past.time, past.text]
        return [reviews[others[i]].text for i in representatives(his_NE[own], his_NE[others], count, seed)]
