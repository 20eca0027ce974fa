"""Divides users, rather than their reviews, into training, validation and test users (`protocol.split=users`).

A user's part follows from a hash of the user's id and the protocol's seed. It depends neither on other users nor on the
category, so that one person is in the same part everywhere, and new reviews move nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dep.data.settings import ProtocolConfig
from dep.types import Corpus, Example, Split
from dep.utils.errors import DepError
from dep.utils.hashing import seed_from


def part_of(user: str, config: ProtocolConfig) -> Split:
    """Return the part of a user: `train`, `val` or `test`."""
    place = seed_from(f"user split {config.seed} {user}", 8) / 2**64
    if place < config.test_users:
        return "test"
    return "val" if place < config.test_users + config.val_users else "train"


def split_by_user(examples: Sequence[Example], corpora: Mapping[str, Corpus], config: ProtocolConfig) -> list[Example]:
    """Give each user's examples to the part of the user.

    Args:
        examples: all targets of all users, split by time.
        corpora: the filtered corpora by category.
        config: the shares of validation and test users, and the number of held-out targets.

    Returns:
        All examples of training users, as training examples, and the last `held_out_targets` examples of each
        validation and test user.

    Raises:
        DepError: a part is empty, a user has fewer targets than are held out, or `peer_pool` needs a test example of
            each user.
    """
    if config.peer_pool == "test_profile":
        raise DepError(
            "protocol.peer_pool=test_profile", "protocol.split=time, where each user has a test example",
            "protocol.split=users", "set protocol.peer_pool=history",
        )  # fmt: skip
    authors = [corpora[e.category].reviews[e.row].user for e in examples]
    parts = {user: part_of(user, config) for user in set(authors)}
    order = sorted(range(len(examples)), key=lambda at: (examples[at].category, examples[at].row), reverse=True)
    newer: Counter[tuple[str, str]] = Counter()
    kept: dict[int, Example] = {}
    for at in order:  # a user's rows are in order of time, so the newest comes first
        example, part = examples[at], parts[authors[at]]
        newer[example.category, authors[at]] += 1
        if part == "train" or newer[example.category, authors[at]] <= config.held_out_targets:
            kept[at] = replace(example, split=part)
    fewest = min((count for (_, user), count in newer.items() if parts[user] != "train"), default=0)
    sizes = Counter(parts.values())
    if missing := [part for part in ("train", "val", "test") if not sizes[part]]:
        raise DepError(
            "protocol.split=users", "training, validation and test users", f"no {missing[0]} user among {len(parts)}",
            "change protocol.val_users or protocol.test_users, set another protocol.seed, or give more users",
        )  # fmt: skip
    if fewest < config.held_out_targets:
        raise DepError(
            "protocol.held_out_targets", f"at most {fewest}, the number of targets of a user",
            str(config.held_out_targets), "lower it, or raise protocol.train_targets",
        )  # fmt: skip
    return [kept[at] for at in sorted(kept)]
