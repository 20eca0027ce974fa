"""Finds the reviews of the training population, those that anything may be learned from."""

from __future__ import annotations

from dep.data.protocol import ReviewDataset


def training_rows(prepared: ReviewDataset) -> dict[str, list[int]]:
    """Return for each category the rows of the training population's reviews, in order.

    These are training targets and reviews in training examples' profiles, without validation and test targets.
    """
    train: dict[str, set[int]] = {category: set() for category in prepared.corpora}
    held_out: dict[str, set[int]] = {category: set() for category in prepared.corpora}
    for example in prepared.examples:
        if example.split == "train":
            train[example.category].update(example.profile, [example.row])
        else:
            held_out[example.category].add(example.row)
    return {category: sorted(train[category] - held_out[category]) for category in prepared.corpora}
