"""Adds and deletes reviews; the counts and sums of their items and categories change with them.

The work is O(width) for each review, whatever the size of the store. What no review names any more (items, titles,
categories, users) is deleted in the same transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from dep.store.exact_sums import Floats, Integers, grouped
from dep.store.private_means import forget, record_spent
from dep.store.reviews import Key, StoredReview


class Row(NamedTuple):
    """A row of the table `review`, as far as deletion reads it."""

    id: int
    item: int
    author: int
    about: int | None
    vector: bytes


def add(db: sqlite3.Connection, reviews: Sequence[StoredReview], vectors_NE: Floats) -> None:
    """Add reviews of different keys, or replace those that are there; the caller holds a transaction.

    Args:
        db: the store.
        reviews: the N reviews, one or more.
        vectors_NE: their vectors.
    """
    authors = _ids(db, "author", [review.user for review in reviews])
    categories = _ids(db, "category", [review.category for review in reviews], vectors_NE.shape[1])
    item_N = _item_ids(db, [(categories[review.category], review.item) for review in reviews], vectors_NE.shape[1])
    author_N = [authors[review.user] for review in reviews]
    replaced = _rows(db, list(zip(item_N, author_N, strict=True)))
    forget(db, {row.item for row in replaced})
    about_N = _about_ids(db, item_N, author_N, reviews, {(row.item, row.author): row.about for row in replaced})
    plain = np.ascontiguousarray(vectors_NE, dtype=np.float32)
    _count(db, item_N, plain, replaced, Counter(about for about in about_N if about is not None))
    there = {(row.item, row.author): row.id for row in replaced}
    new: list[tuple[object, ...]] = []
    old: list[tuple[object, ...]] = []
    for n, (item, author, about, review) in enumerate(zip(item_N, author_N, about_N, reviews, strict=True)):
        row = (review.time, about, review.rating, review.title, review.text, plain[n].tobytes())
        if number := there.get((item, author)):
            old.append((*row, number))
        else:
            new.append((*row, item, author))
    db.executemany(
        "INSERT INTO review(time, about, rating, title, text, vector, item, author) VALUES(?,?,?,?,?,?,?,?)", new
    )
    db.executemany(
        "UPDATE review SET time = ?, about = ?, rating = ?, title = ?, text = ?, vector = ? WHERE id = ?",
        sorted(old, key=itemgetter(-1)),  # neighbours in the file one after another
    )
    _delete_unnamed(db, replaced)


def delete(db: sqlite3.Connection, keys: Iterable[Key]) -> int:
    """Delete reviews by key, and return how many there were; the caller holds a transaction."""
    pairs = []
    for key in keys:
        pair = db.execute(
            "SELECT item.id, author.id FROM item JOIN category ON category.id = item.category, author "
            "WHERE category.name = ? AND item.name = ? AND author.name = ?",
            (key.category, key.item, key.user),
        ).fetchone()
        pairs += [pair] if pair else []
    rows = _rows(db, pairs)
    record_spent(db, [(row.author, row.item) for row in rows])
    db.executemany("DELETE FROM review WHERE id = ?", [(row.id,) for row in rows])
    forget(db, {row.item for row in rows})
    _count(db, [], None, rows, Counter())
    _delete_unnamed(db, rows)
    return len(rows)


def keys_of(db: sqlite3.Connection, user: str) -> list[Key]:
    """Return the keys of all reviews of a user."""
    found = db.execute(
        "SELECT category.name, item.name FROM author JOIN review ON review.author = author.id "
        "JOIN item ON item.id = review.item JOIN category ON category.id = item.category WHERE author.name = ?",
        (user,),
    )
    return [Key(category, user, item) for category, item in found]


def _ids(db: sqlite3.Connection, table: str, names: Sequence[str], width: int = 0) -> dict[str, int]:
    """Return the ids of authors or categories by name; names that are new get one."""
    wanted = json.dumps(sorted(set(names)))
    if table == "author":
        db.execute("INSERT OR IGNORE INTO author(name) SELECT value FROM json_each(?)", (wanted,))
    else:
        db.execute(
            "INSERT OR IGNORE INTO category(name, count, sum) SELECT value, 0, zeroblob(?) FROM json_each(?)",
            (8 * width, wanted),
        )
    return dict(db.execute(f"SELECT name, id FROM {table} WHERE name IN (SELECT value FROM json_each(?))", (wanted,)))


def _item_ids(db: sqlite3.Connection, pairs: Sequence[tuple[int, str]], width: int) -> list[int]:
    """Return the id of each pair of a category and an item's name; new pairs get one."""
    ids: dict[tuple[int, str], int] = {}
    for category in sorted({category for category, _ in pairs}):
        wanted = json.dumps(sorted({name for own, name in pairs if own == category}))
        db.execute(
            "INSERT OR IGNORE INTO item(category, name, count, sum) SELECT ?, value, 0, zeroblob(?) FROM json_each(?)",
            (category, 8 * width, wanted),
        )
        found = db.execute(
            "SELECT name, id FROM item WHERE category = ? AND name IN (SELECT value FROM json_each(?))",
            (category, wanted),
        )
        ids |= {(category, name): number for name, number in found}
    return [ids[pair] for pair in pairs]


def _about_ids(
    db: sqlite3.Connection, item_N: Sequence[int], author_N: Sequence[int], reviews: Sequence[StoredReview],
    before: Mapping[tuple[int, int], int | None],
) -> list[int | None]:  # fmt: skip
    """Return the row of `about` for each review; None where neither title nor description is known.

    Args:
        db: the store.
        item_N: the item of each review.
        author_N: its author.
        reviews: the reviews; what one of them leaves out is taken from the review that it replaces.
        before: the row of `about` of each review that is replaced, by item and author.
    """
    ids = {
        (item, title, description): number
        for number, item, title, description in db.execute(
            "SELECT id, item, title, description FROM about WHERE item IN (SELECT value FROM json_each(?))",
            (json.dumps(sorted(set(item_N))),),
        )
    }
    about = {number: facts[1:] for facts, number in ids.items()}
    found: list[int | None] = []
    for item, author, review in zip(item_N, author_N, reviews, strict=True):
        title, description = about.get(before.get((item, author)), ("", ""))
        facts = (item, review.item_title or title, review.description or description)
        if not any(facts[1:]):
            found.append(None)
            continue
        if facts not in ids:
            new = db.execute("INSERT INTO about(item, title, description, uses) VALUES(?,?,?,0)", facts)
            ids[facts] = int(new.lastrowid or 0)
        found.append(ids[facts])
    return found


def _rows(db: sqlite3.Connection, pairs: Sequence[tuple[int, int]]) -> list[Row]:
    """Return the rows of the reviews of some (item, author) pairs that exist."""
    db.executemany("INSERT INTO batch(item, author) VALUES(?,?)", pairs)
    found = db.execute(
        "SELECT review.id, review.item, review.author, about, vector FROM batch CROSS JOIN review "
        "ON review.item = batch.item AND review.author = batch.author"
    ).fetchall()
    db.execute("DELETE FROM batch")
    return [Row(*row) for row in found]


def _count(
    db: sqlite3.Connection, item_N: Sequence[int], added_NE: Floats | None, gone: Sequence[Row], named: Counter[int]
) -> None:
    """Change the counts and sums of items and categories, and delete what no review names any more.

    Args:
        db: the store.
        item_N: the item of each added review.
        added_NE: the vectors of the added reviews; None if there are none.
        gone: the deleted reviews.
        named: how many added reviews name each row of `about`.
    """
    if added_NE is None and not gone:
        return
    changes = [] if added_NE is None else [added_NE]
    if gone:
        gone_NE = np.frombuffer(b"".join(row.vector for row in gone), np.float32)
        changes.append(-gone_NE.reshape(len(gone), -1))
    groups = [*item_N, *(row.item for row in gone)]
    number = Counter(item_N)
    number.subtract(row.item for row in gone)
    items, sum_IE = grouped(np.concatenate(changes) if len(changes) > 1 else changes[0], groups)
    old = db.execute(
        "SELECT id, category, count, sum FROM item WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
        (json.dumps(items),),
    ).fetchall()
    _update(db, "item", [(at, count + number[at], total) for at, _, count, total in old], sum_IE)
    category_I = [category for _, category, _, _ in old]
    categories = sorted(set(category_I))
    sum_CE = np.stack([sum_IE[np.equal(category_I, category)].sum(0) for category in categories])
    by_category: Counter[int] = Counter()
    for item, category in zip(items, category_I, strict=True):
        by_category[category] += number[item]
    before = [
        db.execute("SELECT id, count, sum FROM category WHERE id = ?", (category,)).fetchone()
        for category in categories
    ]
    _update(db, "category", [(at, count + by_category[at], total) for at, count, total in before], sum_CE)
    named.subtract(row.about for row in gone if row.about is not None)
    db.executemany("UPDATE about SET uses = uses + ? WHERE id = ?", [(more, at) for at, more in named.items() if more])


def _update(db: sqlite3.Connection, table: str, counted: Sequence[tuple[int, int, bytes]], more_GE: Integers) -> None:
    """Write new counts, and add the rows of `more_GE` to the sums; `counted` holds (id, new count, old sum)."""
    rows = [
        (count, (np.frombuffer(total, np.int64) + more_E).tobytes(), at)
        for (at, count, total), more_E in zip(counted, more_GE, strict=True)
    ]
    db.executemany(f"UPDATE {table} SET count = ?, sum = ? WHERE id = ?", rows)


def _delete_unnamed(db: sqlite3.Connection, gone: Sequence[Row]) -> None:
    """Delete what only deleted reviews named: users, items, titles and categories."""
    items, authors = {row.item for row in gone}, {row.author for row in gone}
    among = "IN (SELECT value FROM json_each(?))"
    which = json.dumps(sorted(items))
    db.execute(f"DELETE FROM about WHERE item {among} AND uses = 0", (which,))
    db.execute(f"DELETE FROM release WHERE item IN (SELECT id FROM item WHERE id {among} AND count = 0)", (which,))
    db.execute(f"DELETE FROM item WHERE id {among} AND count = 0", (which,))
    db.execute("DELETE FROM category WHERE count = 0")
    db.execute(
        f"DELETE FROM author WHERE id {among} AND NOT EXISTS (SELECT 1 FROM review WHERE review.author = author.id)",
        (json.dumps(sorted(authors)),),
    )
