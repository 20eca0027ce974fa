"""Which pasts are asked about, and which traits their users have at the target and had at first."""

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
"""The planted traits that drift, and all that each can be."""

Truth = Mapping[str, Mapping[str, Any]]
"""By category, the users of its truth file."""


class Asked(NamedTuple):
    """Q pasts."""

    examples: list[Example]
    users: list[str]
    now: dict[str, Tensor]
    """Trait -> [Q, C], which of its values are true at the target."""
    then: dict[str, Tensor]
    """The same of the user's first half."""
    since: list[int]
    """How many reviews of the past are from the second half."""


def asked(made: ReviewDataset, truth: Truth, turns: Truth) -> Asked:
    """Every past that holds a review of the second half, of all splits.

    Args:
        made: the examples.
        truth: of the world.
        turns: of the same world with drift, for when a user's second half begins.
    """
    examples, users, since, held = [], [], [], []
    for example in made.examples:
        reviews = made.corpora[example.category].reviews
        target = reviews[example.row]
        user, turn = truth[example.category][target.user], turns[example.category][target.user]["later"]["since"]
        if late := sum(reviews[row].time >= turn for row in example.profile):
            examples.append(example)
            users.append(f"{example.category}/{target.user}")
            since.append(late)
            held.append((traits(user, target.time), user))
    now = {trait: _labels([one[trait] for one, _ in held], values) for trait, values in VALUES.items()}
    then = {trait: _labels([one[trait] for _, one in held], values) for trait, values in VALUES.items()}
    return Asked(examples, users, now, then, since)


def _labels(held: Sequence[str | list[str]], values: tuple[str, ...]) -> Tensor:
    """[Q, C]: which of `values` each holds, be it several in a list or one."""
    rows = [[value in one if isinstance(one, list) else value == one for value in values] for one in held]
    return torch.tensor(rows).double()
