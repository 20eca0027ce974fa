"""Draws reviews for a quick author probe: users, their newest reviews, and peers' reviews of the same items."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import NamedTuple

from dep.data.filters import Histories, reviewers_by_item
from dep.types import Corpus, Review


class Sample(NamedTuple):
    """A small corpus and the rows of it to probe."""

    corpus: Corpus
    rows: list[int]
    """Rows of the sampled users' reviews; the others are peers'."""


def sample(corpus: Corpus, histories: Histories, users: int = 150, each: int = 16, size: int = 4000) -> Sample:
    """Draw users, then their newest reviews that have peers, then peers' reviews of these items.

    Args:
        corpus: all reviews of a category.
        histories: the users to draw from, and the reviews of each that may be drawn, oldest first.
        users: the largest number of users.
        each: the largest number of reviews of a user.
        size: the largest number of reviews in all.
    """
    reviewers = reviewers_by_item(corpus.reviews)
    shared = {user: [r for r in rows if len(reviewers[r.item]) > 1][-each:] for user, rows in histories.items()}
    names = sorted(user for user, rows in shared.items() if len(rows) > 1)
    rng = random.Random(0)
    chosen = sorted(rng.sample(names, users)) if len(names) > users else names
    probed = {(r.user, r.item): r for user in chosen for r in shared[user]}
    others: dict[str, list[Review]] = defaultdict(list)
    wanted = {item for _, item in probed}
    for review in corpus.reviews:
        if review.item in wanted and (review.user, review.item) not in probed:
            others[review.item].append(review)
    for found in others.values():
        rng.shuffle(found)
    peers: list[Review] = []
    while others and len(probed) + len(peers) < size:  # one peer for each item, then another one
        for item in sorted(others):
            peers.append(others[item].pop())
        others = defaultdict(list, {item: found for item, found in others.items() if found})
    peers = peers[: max(0, size - len(probed))]
    reviews = sorted([*probed.values(), *peers], key=lambda r: (r.user, r.time, r.item))
    rows = [at for at, r in enumerate(reviews) if probed.get((r.user, r.item)) is r]
    items = {name: corpus.items[name] for name in sorted({r.item for r in reviews})}
    return Sample(Corpus(corpus.category, reviews, items), rows)
