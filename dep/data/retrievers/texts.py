"""Functions for retrievers that compare texts: what is known of the target, the text of a past review, and ranking."""

from __future__ import annotations

from collections.abc import Sequence

from dep.types import Corpus, Example, Item


def query(example: Example, corpus: Corpus) -> str:
    """Return the title and description of the target's item and the title of the target review, but not its text."""
    review = corpus.reviews[example.row]
    return query_text(corpus.items[review.item], review.title)


def query_text(item: Item, title: str) -> str:
    """Join what is known of a request: title and description of the item, and the title of the review to write."""
    return " ".join(part for part in (item.title, item.description, title) if part)


def document(corpus: Corpus, row: int) -> str:
    """Return a past review as one text: the item's title, the review's title and the review's text."""
    review = corpus.reviews[row]
    return " ".join(part for part in (corpus.items[review.item].title, review.title, review.text) if part)


def best(newest: Sequence[int], scores: Sequence[float], k: int) -> list[int]:
    """Return the `k` rows with the highest scores, best first; ties go to the newer review.

    Args:
        newest: the rows of reviews, newest first.
        scores: the score of each review.
        k: the largest number of rows that are returned.
    """
    return [newest[at] for at in sorted(range(len(newest)), key=lambda at: (-scores[at], at))[:k]]
