"""The protocol: how raw reviews are filtered and split, as DPL defined it and the paper uses it.

    1. Keep items that have a title and a description of 100 to 2000 characters.
    2. Keep reviews of these items that have 200 characters or more, a rating, a title and a time.
    3. Keep items with 8 or more reviewers and users with 18 to 500 reviews; repeat until nothing changes.
    4. Replace runs of white space by one space. If a user's reviews share an item or a text, keep only the latest.
    5. Order each user's reviews by time and split them: profile | 8 training targets | validation target | test target.
    6. Keep in all profiles only items that are in 5 or more profiles, and keep users whose profile has 8 or more
       reviews; repeat until no user drops out.
    7. The profile of an example is the user's filtered profile and all targets before the example's own.

With `split=users`, step 5 names each user's targets, but `user_split` decides what they are for: users are divided into
training, validation and test users, and all targets of a training user are training targets.

`filters` applies steps 1 to 4 and 6. A filter on a field (title, description, rating) is off if the source never has
this field, and the settings can switch those on a review's rating and title off. DEP then uses only the most
recent training target of each user and category, and draws 512 validation examples from all categories together.
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
from dep.data.user_split import split_by_user
from dep.types import Corpus, Example, Review
from dep.utils.errors import DepError


class ReviewDataset(NamedTuple):
    """The protocol's result: filtered corpora (with new row numbers), examples, and which reviews count as peers'."""

    corpora: dict[str, Corpus]
    examples: list[Example]
    pool: dict[str, Tensor]
    """For each category [N] bool: True for a review that counts as a peer's."""
    notes: tuple[str, ...] = ()
    """Sentences that tell the user which reviews and fields the source lacks."""


def prepare(source: Source, config: ProtocolConfig) -> ReviewDataset:
    """Load a source, then filter and split its reviews; a source that is published with a split keeps its targets.

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
    """Return notes about filters that are off because a category lacks a field, and about reviews left out for one."""
    notes = []
    for category, corpus in sorted(corpora.items()):
        items, reviews, every = corpus.items.values(), corpus.reviews, len(corpus.reviews)
        for field, on in (("title", True), ("description", config.min_description_chars > 0)):
            if on and not any(getattr(item, field) for item in items):
                notes.append(f"{category}: no item has a {field}, so the filter of items by {field} is off")
        for field, on, fact in (
            ("rating", config.require_rating, has_rating),
            ("title", config.require_title, has_title),
        ):
            missing = every - sum(map(fact, reviews)) if on else 0
            if on and missing == every:
                notes.append(f"{category}: no review has a {field}, so the filter of reviews by {field} is off")
            elif missing:
                # the source has counted those without a rating
                counted = "reviews" if field == "rating" else f"{missing:,} of {every:,} reviews"
                notes.append(f"{category}: {counted} without a {field} are left out, since others have one")
        untitled = {item.item for item in items if not item.title}
        if 0 < len(untitled) < len(items) and (on_them := sum(review.item in untitled for review in reviews)):
            notes.append(f"{category}: {on_them:,} of {every:,} reviews on items without a title are left out")
    return notes


def apply(corpora: dict[str, Corpus], config: ProtocolConfig) -> ReviewDataset:
    """Filter raw corpora and split them into examples.

    Args:
        corpora: raw reviews by category.
        config: the thresholds and the numbers of examples.

    Returns:
        The filtered corpora (in the same order, with new row numbers), the examples of all categories, and the reviews
        that count as peers'.

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
    """Apply step 7: each user's last `tail` reviews are targets, and the reviews before a target are its profile."""
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
    """Mark the reviews that count as peers', then choose the examples that the configuration asks for."""
    if config.split == "users":
        examples = split_by_user(examples, corpora, config)
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
    """Return the last `count` examples of each user and category; a user's rows are in order of time."""
    seen: Counter[tuple[str, str]] = Counter()
    chosen = []
    for example in reversed(examples):
        user = (example.category, corpora[example.category].reviews[example.row].user)
        seen[user] += 1
        if seen[user] <= count:
            chosen.append(example)
    return chosen[::-1]


def _draw(examples: list[Example], count: int | None, seed: int) -> list[Example]:
    """Draw `count` examples at random and keep their order; return all if there are no more."""
    if count is None or count >= len(examples):
        return examples
    return [examples[place] for place in sorted(random.Random(seed).sample(range(len(examples)), count))]
