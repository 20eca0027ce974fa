"""What a retriever by relevance compares: the target as far as it is known, and a past review."""

from __future__ import annotations

from collections.abc import Sequence

from dep.types import Corpus, Example


def query(example: Example, corpus: Corpus) -> str:
    """The target's item and the title that its review will have; never its text."""
    review = corpus.reviews[example.row]
    item = corpus.items[review.item]
    return " ".join(part for part in (item.title, item.description, review.title) if part)


def document(corpus: Corpus, row: int) -> str:
    """A past review with its item's title."""
    review = corpus.reviews[row]
    return " ".join(part for part in (corpus.items[review.item].title, review.title, review.text) if part)


def best(newest: Sequence[int], scores: Sequence[float], k: int) -> list[int]:
    """The `k` rows of `newest` (newest first) with the highest scores, best first; of equals the newer first."""
    return [newest[at] for at in sorted(range(len(newest)), key=lambda at: (-scores[at], at))[:k]]
