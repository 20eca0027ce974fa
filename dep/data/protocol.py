"""The protocol: filters and splits of DPL, which the paper uses.

    1. items: a title, and a description of 100 to 2000 characters (each only if the source has any)
    2. reviews: 200 characters, a rating, a title (each only if the source has any and the setting asks) and a time, on
       such an item
    3. repeat until nothing changes: items with 8 or more reviewers, users with 18 to 500 reviews
    4. whitespace runs become one space; of a user's reviews of one item, or with one text, the latest stays
    5. of each user, in order of time: profile | 8 training targets | validation target | test target
    6. repeat until no user drops out: profiles keep items that are in 5 or more profiles, and need 8 reviews
    7. an example's profile is the user's filtered profile and every earlier target

DEP then uses only the most recent training target of each user and category, and 512 validation examples drawn from all
categories together.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from dep.data.filters import HELD_OUT, Histories, core, has_rating, has_title, histories_of, profiles_of, usable
from dep.data.settings import ProtocolConfig
from dep.data.sources import PresplitSource, Source
from dep.types import Corpus, Example, Review
from dep.utils.errors import DepError


class ReviewDataset(NamedTuple):
    """Result of the protocol: filtered corpora with new rows, examples on these rows, and the rows that are peers."""

    corpora: dict[str, Corpus]
    examples: list[Example]
    pool: dict[str, Tensor]
    """Category -> [N] bool, true on rows that count as a peer's review."""
    notes: tuple[str, ...] = ()
    """Sentences for the user about rows and fields that the source lacks."""


def prepare(source: Source, config: ProtocolConfig) -> ReviewDataset:
    """Load a source, filter and split it; a source that is published with a split keeps it.

    Raises:
        DepError: no user passes the filters, or `peer_pool` needs reviews that a split source lacks.
    """
    if not isinstance(source, PresplitSource):
        corpora = source.load()
        notes = [*getattr(source, "notes", ()), *_absent_fields(corpora, config)]
        return apply(corpora, config)._replace(notes=tuple(notes))
    if config.peer_pool == "all":
        raise DepError(
            f"peer_pool: expected 'kept', 'history' or 'test_profile' for {source.kind!r}, found 'all'; it was "
            "published without the reviews of users who did not pass its filters"
        )
    dataset = _finish(source.load(), source.examples(), config)
    return dataset._replace(notes=tuple(getattr(source, "notes", ())))


def _absent_fields(corpora: dict[str, Corpus], config: ProtocolConfig) -> list[str]:
    """Notes about filters that are off because no item of a category has the field that they read."""
    notes = []
    for category, corpus in sorted(corpora.items()):
        for field, on in (("title", True), ("description", config.min_description_chars > 0)):
            if on and not any(getattr(item, field) for item in corpus.items.values()):
                notes.append(f"{category}: no item has a {field}, so the filter of items by {field} is off")
        for field, on, fact in (
            ("rating", config.require_rating, has_rating),
            ("title", config.require_title, has_title),
        ):
            if on and not any(map(fact, corpus.reviews)):
                notes.append(f"{category}: no review has a {field}, so the filter of reviews by {field} is off")
    return notes


def apply(corpora: dict[str, Corpus], config: ProtocolConfig) -> ReviewDataset:
    """Filter and split raw corpora.

    Args:
        corpora: raw reviews by category.
        config: thresholds, and numbers of examples.

    Returns:
        The filtered corpora (same order, new rows), the examples of all categories, and the rows that are peers.

    Raises:
        DepError: no user passes the filters in some category.
    """
    kept: dict[str, Corpus] = {}
    examples: list[Example] = []
    for category in sorted(corpora):
        kept[category], found = _category(corpora[category], config)
        examples.extend(found)
    return _finish(kept, examples, config)


def _category(corpus: Corpus, config: ProtocolConfig) -> tuple[Corpus, list[Example]]:
    counts = {"in the source": len(corpus.reviews)}
    reviews = usable(corpus, config)
    counts["after the text and item filters"] = len(reviews)
    reviews, users = core(reviews, config)
    counts["after the user and item counts"] = sum(review.user in users for review in reviews)
    histories = histories_of(reviews)
    tail = config.train_targets + HELD_OUT
    profiles = profiles_of(histories, users, config)
    counts["after the profile filter"] = sum(map(len, profiles.values()))
    if not profiles:
        stages = ", ".join(f"{count} {stage}" for stage, count in counts.items())
        raise DepError(
            f"{corpus.category}: expected at least one user to pass the protocol's filters, found none "
            f"(reviews: {stages}); lower min_user_reviews, min_item_reviewers, min_profile_reviewers, "
            "min_profile or the thresholds of texts and descriptions, or give more users (source.users)"
        )
    rows = [review for user, profile in profiles.items() for review in profile + histories[user][-tail:]]
    if config.peer_pool == "all":
        shared = {review.item for review in rows}
        rows += [r for user, rs in histories.items() if user not in profiles for r in rs if r.item in shared]
    rows.sort(key=lambda r: (r.user, r.time, r.item))
    items = {name: corpus.items[name] for name in sorted({r.item for r in rows})}
    return Corpus(corpus.category, rows, items), _examples(corpus.category, rows, profiles, tail)


def _examples(category: str, rows: list[Review], profiles: Histories, tail: int) -> list[Example]:
    """Step 7: a user's last `tail` rows are the targets, all rows of theirs before one its profile."""
    of_user: dict[str, list[int]] = defaultdict(list)
    for row, review in enumerate(rows):
        of_user[review.user].append(row)
    examples = []
    for user in profiles:
        own = of_user[user]
        for place in range(len(own) - tail, len(own)):
            left = len(own) - place
            split: Literal["train", "val", "test"] = "test" if left == 1 else "val" if left == HELD_OUT else "train"
            examples.append(Example(category, split, own[place], tuple(own[:place])))
    return examples


def _finish(corpora: dict[str, Corpus], examples: list[Example], config: ProtocolConfig) -> ReviewDataset:
    """Mark the peers, then draw the examples that are wanted."""
    pool = {category: torch.ones(len(corpus.reviews), dtype=torch.bool) for category, corpus in corpora.items()}
    if config.peer_pool == "history":
        for example in examples:
            if example.split != "train":
                pool[example.category][example.row] = False
    if config.peer_pool == "test_profile":
        pool = {category: torch.zeros_like(pool_N) for category, pool_N in pool.items()}
        for example in examples:
            if example.split == "test":
                pool[example.category][torch.tensor(example.profile[:-HELD_OUT], dtype=torch.long)] = True
    splits: dict[str, list[Example]] = {"train": [], "val": [], "test": []}
    for example in sorted(examples, key=lambda e: (e.category, e.row)):
        splits[example.split].append(example)
    if config.targets_used is not None:
        splits["train"] = _most_recent(splits["train"], corpora, config.targets_used)
    splits["val"] = _draw(splits["val"], config.val_examples, config.seed)
    splits["test"] = _draw(splits["test"], config.test_examples, config.seed)
    return ReviewDataset(corpora, splits["train"] + splits["val"] + splits["test"], pool)


def _most_recent(examples: list[Example], corpora: dict[str, Corpus], count: int) -> list[Example]:
    """Each user's last `count` examples of a category; rows of a user are in order of time."""
    seen: Counter[tuple[str, str]] = Counter()
    chosen = []
    for example in reversed(examples):
        user = (example.category, corpora[example.category].reviews[example.row].user)
        seen[user] += 1
        if seen[user] <= count:
            chosen.append(example)
    return chosen[::-1]


def _draw(examples: list[Example], count: int | None, seed: int) -> list[Example]:
    """Draw `count` examples and keep their order; all examples if there are no more."""
    if count is None or count >= len(examples):
        return examples
    return [examples[place] for place in sorted(random.Random(seed).sample(range(len(examples)), count))]
