"""Finds the reviews of the training population, those that anything may be learned from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dep.types import Corpus, Example


def training_rows(categories: Iterable[str], examples: Sequence[Example]) -> dict[str, list[int]]:
    """Return for each category the rows of the training population's reviews, in order.

    These are training targets and reviews in training examples' profiles, without validation and test targets.
    """
    train: dict[str, set[int]] = {category: set() for category in categories}
    held_out: dict[str, set[int]] = {category: set() for category in train}
    for example in examples:
        if example.split == "train":
            train[example.category].update(example.profile, [example.row])
        else:
            held_out[example.category].add(example.row)
    return {category: sorted(train[category] - held_out[category]) for category in train}


def training_texts(corpora: dict[str, Corpus], examples: Sequence[Example]) -> list[str]:
    """Return the texts of the training population, category by category."""
    rows = sorted(training_rows(corpora, examples).items())
    return [corpora[category].reviews[row].text for category, of_category in rows for row in of_category]
