"""The texts that retrievers by relevance compare: what is known of the target, and a past review."""

from __future__ import annotations

from collections.abc import Sequence

from dep.types import Corpus, Example, Item


def query(example: Example, corpus: Corpus) -> str:
    """Title and description of the target's item and the title of the target review; not its text."""
    review = corpus.reviews[example.row]
    return query_text(corpus.items[review.item], review.title)


def query_text(item: Item, title: str) -> str:
    """What is known of a request: title and description of the item, and the title of the review."""
    return " ".join(part for part in (item.title, item.description, title) if part)


def document(corpus: Corpus, row: int) -> str:
    """A past review: its item's title, its title and its text."""
    review = corpus.reviews[row]
    return " ".join(part for part in (corpus.items[review.item].title, review.title, review.text) if part)


def best(newest: Sequence[int], scores: Sequence[float], k: int) -> list[int]:
    """The `k` rows with the highest scores, best first; ties go to the newer review.

    Args:
        newest: rows, newest first.
        scores: a score for each row.
        k: the largest number of rows.
    """
    return [newest[at] for at in sorted(range(len(newest)), key=lambda at: (-scores[at], at))[:k]]
