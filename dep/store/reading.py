"""Reads peer means and histories from a store, as they are after the last committed change.

    n, total = the item's count and exact sum, without the reader's own review
    mean = total / n                                           e_diff = e_his - mean        (Eq. 4)
    shrunk = n / (n + tau) * mean + tau / (n + tau) * mean of the category

An as-of read needs the sum over reviews before some time. It subtracts the later reviews from the item's sum, or adds
up the earlier ones, whichever are fewer; since sums are exact, both give the same bytes.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from dep.store.exact_sums import Floats, Integers, mean, to_integers
from dep.store.private_means import Doubles, clipped, released
from dep.store.reviews import Key, StoredReview
from dep.store.settings import PeerSettings
from dep.utils.errors import DepError


class ItemRow(NamedTuple):
    """An item with the count and the sum of its vectors."""

    id: int
    category: int
    reviews: int
    total: bytes


class OwnReview(NamedTuple):
    """The reader's own review of an item, which no peer mean holds."""

    id: int
    time: int
    his_E: Floats


class PastRow(NamedTuple):
    """A review of a user as the store holds it, with its item."""

    item: ItemRow
    own: OwnReview
    review: StoredReview


_PAST = """
SELECT item.id, item.category, item.count, item.sum, review.id, review.time, review.vector, category.name, author.name,
    item.name, about.title, about.description, review.text, review.rating, review.title
FROM author JOIN review ON review.author = author.id JOIN item ON item.id = review.item
    JOIN category ON category.id = item.category LEFT JOIN about ON about.id = review.about
WHERE author.name = ?"""


def _past_row(
    item: int, category: int, count: int, total: bytes, number: int, time: int, vector: bytes, category_name: str,
    user: str, name: str, item_title: str | None, description: str | None, text: str, rating: float | None, title: str,
) -> PastRow:  # fmt: skip
    stars = float("nan") if rating is None else rating
    about = (item_title or "", description or "")
    review = StoredReview(category_name, user, name, *about, text, stars, title, time)
    return PastRow(
        ItemRow(item, category, count, total), OwnReview(number, time, np.frombuffer(vector, np.float32)), review
    )


class Reader:
    """Reads within one transaction, so that all that it returns is of one state.

    Args:
        db: the store; the caller holds a transaction, a writing one if means are private.
        settings: which peers count, and how their mean is formed.
        width: E.
        user: whose reviews no peer mean holds; None for nobody.
    """

    def __init__(self, db: sqlite3.Connection, settings: PeerSettings, width: int, user: str | None) -> None:
        self._db, self._settings, self._width, self._user = db, settings, width, user
        self._of_category: dict[tuple[int, int | None], tuple[int, Integers]] = {}

    def past(self, category: str | None, newest: int, before: int | None) -> list[PastRow]:
        """Return the user's reviews, newest first; see `PeerIndex.history`."""
        sql = _PAST
        words: list[str | int | None] = [self._user]
        for value, condition in ((category, "category.name = ?"), (before, "review.time < ?")):
            if value is not None:
                sql, words = f"{sql} AND {condition}", [*words, value]
        rows = self._db.execute(f"{sql} ORDER BY review.time DESC, item.name DESC LIMIT ?", [*words, newest])
        found = [_past_row(*row) for row in rows]
        return [
            row if row.review.item_title and row.review.description else row._replace(review=self._with_about(row))
            for row in found
        ]

    def one(self, key: Key) -> PastRow | None:
        """Return the user's review with a key, as it was added; None if there is none."""
        row = self._db.execute(
            f"{_PAST} AND category.name = ? AND item.name = ?", (key.user, key.category, key.item)
        ).fetchone()
        return _past_row(*row) if row else None

    def _with_about(self, row: PastRow) -> StoredReview:
        title, description = self.about(row.item.id)
        own = row.review
        return replace(own, item_title=own.item_title or title, description=own.description or description)

    def about(self, item: int) -> tuple[str, str]:
        """Return an item's title and description, each from the newest review that has it; empty if none has."""
        known = self._db.execute("SELECT title, description FROM about WHERE item = ?", (item,)).fetchall()
        title, description = (
            next(iter(values)) if len(values) == 1 else self._newest(item, column) if values else ""
            for column, values in (("title", {t for t, _ in known if t}), ("description", {d for _, d in known if d}))
        )
        return title, description

    def _newest(self, item: int, column: str) -> str:
        """Return the title or the description of an item from its newest review that has one."""
        found = self._db.execute(
            f"SELECT about.{column} FROM review JOIN about ON about.id = review.about "
            f"JOIN author ON author.id = review.author WHERE review.item = ? AND about.{column} <> '' "
            "ORDER BY review.time DESC, author.name DESC LIMIT 1",
            (item,),
        ).fetchone()
        return str(found[0])

    def item(self, category: str, name: str) -> ItemRow | None:
        """Return an item by name; None if nobody has reviewed it."""
        row = self._db.execute(
            "SELECT item.id, item.category, item.count, item.sum FROM item "
            "JOIN category ON category.id = item.category WHERE category.name = ? AND item.name = ?",
            (category, name),
        ).fetchone()
        return ItemRow(*row) if row else None

    def own(self, item: ItemRow) -> OwnReview | None:
        """Return the user's own review of an item."""
        row = self._db.execute(
            "SELECT review.id, time, vector FROM review JOIN author ON author.id = review.author "
            "WHERE item = ? AND author.name = ?",
            (item.id, self._user),
        ).fetchone()
        return OwnReview(row[0], row[1], np.frombuffer(row[2], np.float32)) if row else None

    def peer_mean(self, item: ItemRow, own: OwnReview | None, before: int | None) -> tuple[Doubles | None, int]:
        """Return the mean [E] of what others wrote about an item, and their number; None and 0 if they are too few.

        Args:
            item: the item.
            own: the user's own review of it.
            before: the time before which reviews count; None for all.

        Raises:
            DepError: the means are private, and `before` is given.
        """
        if self._settings.noise:
            if before is not None:
                raise DepError(
                    "before", "no time with private peer means", str(before),
                    "leave it out: each time would be another release, which spends privacy",
                )  # fmt: skip
            return self._private(item, own)
        count, total_E = item.reviews, np.frombuffer(item.total, np.int64)
        if before is not None:
            count, total_E = self._before(item, before)
        if own and (before is None or own.time < before):
            count, total_E = count - 1, total_E - to_integers(own.his_E)
        if count < self._settings.min_peers:
            return None, 0
        found = mean(total_E, count)
        if tau := self._settings.tau:
            others, sum_E = self._category(item.category, before)
            weight = count / (count + tau)
            found = weight * found + (1 - weight) * mean(sum_E, others)
        return found, count

    def _before(self, item: ItemRow, before: int) -> tuple[int, Integers]:
        """Return the count and the sum of an item's reviews that are earlier than a time."""
        where = "FROM review WHERE item = ? AND time {} ?"
        (earlier,) = self._db.execute(f"SELECT count(*) {where.format('<')}", (item.id, before)).fetchone()
        fewer_earlier = earlier <= item.reviews - earlier
        rows = self._db.execute(f"SELECT vector {where.format('<' if fewer_earlier else '>=')}", (item.id, before))
        total_E = self._sum(rows)
        return earlier, total_E if fewer_earlier else np.frombuffer(item.total, np.int64) - total_E

    def _category(self, category: int, before: int | None) -> tuple[int, Integers]:
        """Return the count and the sum of what others wrote in a category; with a time, all its reviews are read."""
        if (category, before) not in self._of_category:
            time = "" if before is None else f"AND review.time < {before}"
            rows = f"FROM review JOIN item ON item.id = review.item WHERE item.category = {category} {time}"
            if before is None:
                count, total = self._db.execute("SELECT count, sum FROM category WHERE id = ?", (category,)).fetchone()
                total_E = np.frombuffer(total, np.int64)
            else:
                (count,) = self._db.execute(f"SELECT count(*) {rows}").fetchone()
                total_E = self._sum(self._db.execute(f"SELECT vector {rows}"))
            own = f"{rows} AND review.author = (SELECT id FROM author WHERE name = ?)"
            (mine,) = self._db.execute(f"SELECT count(*) {own}", (self._user,)).fetchone()
            own_E = self._sum(self._db.execute(f"SELECT vector {own}", (self._user,)))
            self._of_category[category, before] = count - mine, total_E - own_E
        return self._of_category[category, before]

    def _sum(self, rows: sqlite3.Cursor) -> Integers:
        total_E = np.zeros(self._width, np.int64)
        while batch := rows.fetchmany(512):
            vectors_NE = np.frombuffer(b"".join(vector for (vector,) in batch), np.float32).reshape(-1, self._width)
            total_E += to_integers(vectors_NE).sum(0)
        return total_E

    def _private(self, item: ItemRow, own: OwnReview | None) -> tuple[Doubles | None, int]:
        release = released(self._db, item.id, item.reviews, self._settings, self._width)
        count, total_E = release.reviewers, release.total_E
        if own and own.id <= release.newest:  # a review that was added since is not in what was released
            count, total_E = count - 1, total_E - clipped(own.his_E, self._settings.clip)
        if count < self._settings.min_peers:
            return None, 0
        return total_E / count, round(count)
