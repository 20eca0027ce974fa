"""All that a user did before a request, as vectors: what PPlug and User-LLM read instead of texts."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dep.data.cache import VectorCache, Vectors
from dep.data.protocol import Prepared
from dep.data.retrieve_text import query
from dep.records import Example, Past

_DAY = 86_400_000
"""Milliseconds."""


class PastReader:
    """Makes the `Past` of an example.

    Args:
        prepared: gives the corpora and the examples.
        cache: gives vectors of items and requests, embedded once.
        vectors: the reviews' vectors by category.
        longest: how many reviews at most, the newest ones.
    """

    def __init__(self, prepared: Prepared, cache: VectorCache, vectors: Mapping[str, Vectors], longest: int) -> None:
        self.corpora, self.vectors, self.longest = prepared.corpora, vectors, longest
        self._number = {category: at for at, category in enumerate(sorted(self.corpora))}
        self._items: dict[str, Tensor] = {}
        self._queries: dict[str, Tensor] = {}
        for category, corpus in self.corpora.items():
            items = [corpus.items[review.item] for review in corpus.reviews]
            texts = [f"{item.title}. {item.description}".strip() for item in items]
            self._items[category] = cache.texts(category, "items", texts)
            asked = sorted((e for e in prepared.examples if e.category == category), key=lambda e: e.row)
            found = cache.texts(category, "requests", [query(example, corpus) for example in asked])
            rows = torch.zeros(len(corpus.reviews), found.shape[1])
            rows[[example.row for example in asked]] = found
            self._queries[category] = rows

    def __call__(self, example: Example) -> Past:
        """What the author of the example's target did before it."""
        category, rows = example.category, list(example.profile[-self.longest :])
        reviews = self.corpora[category].reviews
        now = reviews[example.row].time
        return Past(
            his=self.vectors[category].his_NE[rows],
            item=self._items[category][rows],
            rating=torch.tensor([reviews[row].rating for row in rows]).nan_to_num(3.0),
            days=torch.tensor([(now - reviews[row].time) / _DAY for row in rows]),
            category=self._number[category],
            query=self._queries[category][example.row],
        )
