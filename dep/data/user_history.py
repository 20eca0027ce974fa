"""Builds the whole history of a user before a request as vectors, which PPlug, User-LLM and `dep_user` read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from dep.data.protocol import ReviewDataset
from dep.data.retrievers.texts import query
from dep.data.vectors.peer_means import PeerMeans
from dep.data.vectors.shown import ShownDifferences
from dep.data.vectors.store import Vectors, VectorStore
from dep.types import Example, Item, UserHistory

DAY_MS = 86_400_000
"""Milliseconds in a day."""


def item_text(item: Item) -> str:
    """Return the text by which an item is embedded: its title and description."""
    return f"{item.title}. {item.description}".strip()


class UserHistoryReader:
    """Builds the `UserHistory` of an example.

    Args:
        prepared: the corpora and the examples.
        cache: the vector store, which embeds the texts of items and requests.
        vectors: the reviews' vectors by category.
        longest: largest number of reviews in a history; the newest are kept.
        peers: by category, what other users wrote about an item; None for histories without differences.
        shown: by category, computes differences that depend on the reviews which are read; None uses those in
            `vectors`.
    """

    def __init__(
        self,
        prepared: ReviewDataset,
        cache: VectorStore,
        vectors: Mapping[str, Vectors],
        longest: int,
        peers: Mapping[str, PeerMeans] | None = None,
        shown: Mapping[str, ShownDifferences] | None = None,
    ) -> None:
        self.peers, self.shown = peers, shown
        self.corpora, self.vectors, self.longest = prepared.corpora, vectors, longest
        self._number = {category: at for at, category in enumerate(sorted(self.corpora))}
        self._place = {
            category: {item: at for at, item in enumerate(sorted({review.item for review in corpus.reviews}))}
            for category, corpus in self.corpora.items()
        }
        self._items: dict[str, Tensor] = {}
        self._queries: dict[str, Tensor] = {}
        for category, corpus in self.corpora.items():
            items = [corpus.items[review.item] for review in corpus.reviews]
            texts = list(map(item_text, items))
            self._items[category] = cache.texts(category, "items", texts)
            asked = sorted((e for e in prepared.examples if e.category == category), key=lambda e: e.row)
            found = cache.texts(category, "requests", [query(example, corpus) for example in asked])
            rows = torch.zeros(len(corpus.reviews), found.shape[1])
            rows[[example.row for example in asked]] = found
            self._queries[category] = rows

    def __call__(self, example: Example) -> UserHistory:
        """Return the history of the example's user before the target."""
        return self._events(example.category, example.profile, example.row)

    def sequences(self, examples: Sequence[Example]) -> dict[str, list[tuple[UserHistory, Tensor]]]:
        """Return the sequences that a user encoder is pretrained on: each user's longest history with its target.

        Args:
            examples: training examples.

        Returns:
            For each category a list of (history, rows), where rows [L] are the reviews' items as rows of `catalogue`.
        """
        newest: dict[tuple[str, str], Example] = {}
        for example in examples:
            who = (example.category, self.corpora[example.category].reviews[example.row].user)
            if who not in newest or len(example.profile) > len(newest[who].profile):
                newest[who] = example
        found: dict[str, list[tuple[UserHistory, Tensor]]] = {category: [] for category in self.corpora}
        for (category, _), example in newest.items():
            rows = (*example.profile, example.row)[-self.longest :]
            items = torch.tensor([self._place[category][self.corpora[category].reviews[row].item] for row in rows])
            found[category].append((self._events(category, rows, example.row), items))
        return found

    def catalogue(self, category: str) -> Tensor:
        """Return the embeddings [I, E] of all items of a category."""
        first = {review.item: row for row, review in reversed(list(enumerate(self.corpora[category].reviews)))}
        return self._items[category][[first[item] for item in self._place[category]]]

    def _events(self, category: str, profile: Sequence[int], target: int) -> UserHistory:
        rows = list(profile[-self.longest :])
        reviews = self.corpora[category].reviews
        now = reviews[target].time
        history = UserHistory(
            his=self.vectors[category].his_NE[rows],
            item=self._items[category][rows],
            rating=torch.tensor([reviews[row].rating for row in rows]).nan_to_num(3.0),
            days=torch.tensor([(now - reviews[row].time) / DAY_MS for row in rows]),
            category=self._number[category],
            query=self._queries[category][target],
        )
        if self.peers is None:
            return history
        rating = reviews[target].rating
        item_peers, count = self.peers[category](target)
        return replace(
            history,
            diff=self._differences(category, rows),
            peers=self.vectors[category].peers_N[rows].float(),
            asked_rating=3.0 if math.isnan(rating) else rating,
            item_peers=item_peers,
            item_peer_count=count,
        )

    def _differences(self, category: str, rows: list[int]) -> Tensor:
        """Return the differences [L, E] of reviews of one author, zero for those without peers."""
        if self.shown is None:
            return self.vectors[category].diff_NE[rows]
        found, his_LE = self.shown[category](rows, rows), self.vectors[category].his_NE[rows]
        nothing = torch.zeros_like(his_LE)
        return torch.stack([found.get(row, nothing[at]) for at, row in enumerate(rows)]) if rows else nothing
