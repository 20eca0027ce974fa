"""Labels the experiment's histories with their users' traits at the target and in the first half.

Shape suffixes: Q histories, C values of a trait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dep.data.protocol import ReviewDataset
from dep.data.synthetic.language import ARTICLES, CONCEPTS, TONES
from dep.data.synthetic.trait_probe import traits
from dep.types import Example

VALUES: dict[str, tuple[str, ...]] = {"sayings": CONCEPTS, "tone": tuple(TONES), "article": ARTICLES}
"""The planted traits that drift, with all their values."""

Truth = Mapping[str, Mapping[str, Any]]
"""The users of a world's truth file, by category."""


class LabelledHistories(NamedTuple):
    """Q histories with labels."""

    examples: list[Example]
    users: list[str]
    current: dict[str, Tensor]
    """For each trait [Q, C]: 1 for each value that the user has at the target."""
    former: dict[str, Tensor]
    """For each trait [Q, C]: 1 for each value that the user had in the first half."""
    since: list[int]
    """For each history, how many of its reviews are from the second half."""


def label_histories(dataset: ReviewDataset, truth: Truth, drifted_truth: Truth) -> LabelledHistories:
    """Label every history, of all splits, that has a review from the user's second half.

    Args:
        dataset: the examples.
        truth: truth of the world.
        drifted_truth: truth of the same world with drift, which says when a user's second half begins.
    """
    examples, users, since, current, former = [], [], [], [], []
    for example in dataset.examples:
        reviews = dataset.corpora[example.category].reviews
        target = reviews[example.row]
        user = truth[example.category][target.user]
        second_half = drifted_truth[example.category][target.user]["later"]["since"]
        if late := sum(reviews[row].time >= second_half for row in example.profile):
            examples.append(example)
            users.append(f"{example.category}/{target.user}")
            since.append(late)
            current.append(traits(user, target.time))
            former.append(user)
    current_labels, former_labels = (
        {trait: _labels([user[trait] for user in held], values) for trait, values in VALUES.items()}
        for held in (current, former)
    )
    return LabelledHistories(examples, users, current_labels, former_labels, since)


def _labels(held: Sequence[str | list[str]], values: tuple[str, ...]) -> Tensor:
    """Return [Q, C], 1 where a user has one of `values`; a user has one value or a list of them."""
    rows = [[value in one if isinstance(one, list) else value == one for value in values] for one in held]
    return torch.tensor(rows).double()
