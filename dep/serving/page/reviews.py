"""Looks up the users of a run, their reviews, and what others wrote about the same items."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import dep
from dep.pipeline.personal.users import RunUsers
from dep.types import Corpus, Item, Review


class Shown(NamedTuple):
    """A review, its item, and what others wrote about the item."""

    review: Review
    item: Item
    peers: list[Review]
    """One review of each other user; only reviews that count as peers' in the run."""


class RunReviews:
    """The reviews of a run, by user.

    Args:
        users: looks users up for the adapter.
    """

    def __init__(self, users: RunUsers) -> None:
        dataset = users.resources.prepared(users.config)
        self._corpora: dict[str, Corpus] = dataset.corpora
        self._rows: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._about: dict[tuple[str, str], list[int]] = defaultdict(list)
        for category, corpus in sorted(dataset.corpora.items()):
            pool_N = dataset.pool[category].tolist()
            for row, review in sorted(enumerate(corpus.reviews), key=lambda pair: (pair[1].time, pair[0])):
                self._rows[category, review.user].append(row)
                if pool_N[row]:
                    self._about[category, review.item].append(row)
        tested = {
            (example.category, dataset.corpora[example.category].reviews[example.row].user)
            for example in dataset.examples
            if example.split == "test"
        }
        keys = sorted(self._rows, key=lambda key: (key not in tested, key))
        several = len(dataset.corpora) > 1
        self.users = {f"{user} · {category}" if several else user: (category, user) for category, user in keys}
        """For each user's name on the page, the category and the user; test users come first."""
        self.tested = [name for name, key in self.users.items() if key in tested]
        """The names of the test users, whose reviews the adapter was not trained on in a run that splits by user."""

    def items(self, user: str) -> list[tuple[str, str]]:
        """Return the items that a user has reviewed, newest first: what the page shows, and the item's id."""
        category, _ = self.users[user]
        corpus = self._corpora[category]
        reviews = [corpus.reviews[row] for row in reversed(self._rows[self.users[user]])]
        return [(f"{corpus.items[review.item].title} · {review.rating:g} ★", review.item) for review in reviews]

    def real(self, user: str, item: str) -> Review | None:
        """Return the user's own review of an item; None if there is none."""
        reviews = self._corpora[self.users[user][0]].reviews
        rows = self._rows[self.users[user]]
        return next((reviews[row] for row in rows if reviews[row].item == item), None)

    def item(self, user: str, item: str) -> Item:
        """Return an item of the user's category, or a new one whose title is `item`."""
        return self._corpora[self.users[user][0]].items.get(item) or Item(item, item)

    def before(self, user: str, item: str) -> list[Shown]:
        """Return the reviews that the user wrote before their own review of `item`, newest first.

        If the user has not reviewed the item, all reviews are returned.
        """
        category, name = self.users[user]
        corpus, rows = self._corpora[category], self._rows[self.users[user]]
        own = [at for at, row in enumerate(rows) if corpus.reviews[row].item == item]
        reviews = [corpus.reviews[row] for row in rows[: own[0] if own else None]]
        return [
            Shown(review, corpus.items[review.item], self._peers(category, name, review.item))
            for review in reversed(reviews)
        ]

    def ask(self, user: str, item: str, rating: float, title: str, seed: int = 0) -> dep.Ask:
        """Return the ask for a review; `item` is the id of an item of the run, or the title of another one."""
        category, name = self.users[user]
        return dep.Ask(user=name, category=category, item=item, rating=rating, title=title, seed=seed)

    def _peers(self, category: str, user: str, item: str) -> list[Review]:
        reviews = [self._corpora[category].reviews[row] for row in self._about[category, item]]
        return list({review.user: review for review in reviews if review.user != user}.values())
