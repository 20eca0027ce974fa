"""Differentially private means of items: clipped vectors, Gaussian noise, and an account of what was spent.

    (S, C) = (sum_j clip(e_j), c * n)          released = (S, C) + N(0, (sigma * sqrt(2) * c)^2)

One review more or less changes (S, C) by at most sqrt(2) * c, where c is the clip norm; sigma is the noise multiplier.
The mean is the released sum divided by the released count. A reader's own review is subtracted from what was released,
which tells the reader nothing more about others. What was released is kept, so that reading it again does not average
the noise away; it is drawn again when the item's reviews have changed (`StoreConfig.refresh`).

Each draw is one step of the Gaussian mechanism for every user with a review of the item. A user's steps add up over
items, and `epsilon` states what the user with most steps has spent, by the accountant of Opacus. The noise is drawn in
floating point from a generator that the operating system seeds; attacks on its last bits are not defended against.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dep.store.exact_sums import Floats
from dep.store.settings import PeerSettings

Doubles = NDArray[np.float64]


class Release(NamedTuple):
    """A noisy sum [E] and count of an item's reviews."""

    newest: int
    """The largest id of the reviews in the sum."""
    size: int
    reviewers: float
    total_E: Doubles


def clipped(vector: Floats | Doubles, norm: float) -> Doubles:
    """Shorten a vector [E], or each row of [N, E], to at most `norm`."""
    wide = vector.astype(np.float64)
    length = np.linalg.norm(wide, axis=-1, keepdims=True)
    shortened: Doubles = wide * np.minimum(1.0, norm / np.maximum(length, 1e-300))
    return shortened


def released(db: sqlite3.Connection, item: int, reviews: int, settings: PeerSettings, width: int) -> Release:
    """Return an item's release, which is drawn now if there is none or if it is out of date.

    Args:
        db: the store, in a writing transaction.
        item: the id of the item.
        reviews: how many reviews the item has.
        settings: noise, clip norm and refresh.
        width: E.
    """
    row = db.execute("SELECT newest, size, count, sum FROM release WHERE item = ?", (item,)).fetchone()
    if row and row[3] is not None and reviews - row[1] <= settings.refresh * row[1]:
        return Release(row[0], row[1], row[2], np.frombuffer(row[3], np.float64))
    rows = db.execute("SELECT id, vector FROM review WHERE item = ?", (item,)).fetchall()
    vectors_NE = np.frombuffer(b"".join(vector for _, vector in rows), np.float32).reshape(-1, width)
    noise = np.random.default_rng(secrets.randbits(256)).normal(0, settings.noise * 2**0.5, width + 1)
    new = Release(
        max(number for number, _ in rows),
        len(rows),
        len(rows) + float(noise[0]),
        clipped(vectors_NE, settings.clip).sum(0) + settings.clip * noise[1:],
    )
    db.execute(
        "INSERT INTO release VALUES(?, 1, ?, ?, ?, ?) ON CONFLICT(item) DO UPDATE SET times = times + 1, "
        "newest = excluded.newest, size = excluded.size, count = excluded.count, sum = excluded.sum",
        (item, new.newest, new.size, new.reviewers, new.total_E.tobytes()),
    )
    return new


def forget(db: sqlite3.Connection, items: Iterable[int]) -> None:
    """Drop what was released of some items, since it holds a review that is deleted; how often stays known."""
    db.executemany("UPDATE release SET sum = NULL, count = NULL WHERE item = ?", [(item,) for item in items])


def record_spent(db: sqlite3.Connection, pairs: Iterable[tuple[int, int]]) -> None:
    """Keep how many steps some (author, item) pairs took part in, before their reviews are deleted."""
    if not db.execute("SELECT EXISTS (SELECT 1 FROM release)").fetchone()[0]:
        return
    pairs = list(pairs)
    for author in {author for author, _ in pairs}:
        steps = _steps(db, f"WHERE author.id = {author}")
        db.execute("INSERT INTO meta VALUES('most_spent', ?) ON CONFLICT(name) DO UPDATE SET "
                   "value = max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER))", (str(steps),))  # fmt: skip
    db.executemany(
        "UPDATE author SET spent = spent + coalesce((SELECT times FROM release WHERE item = ?2), 0) WHERE id = ?1",
        pairs,
    )


def epsilon(db: sqlite3.Connection, settings: PeerSettings) -> float:
    """Return the epsilon that the user with most steps has spent, at `settings.delta`; 0 before the first release.

    An upper bound: a review counts for all releases of its item, earlier ones too.

    Raises:
        ModuleNotFoundError: the package opacus (extra `privacy`) is not installed.
    """
    most = db.execute("SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'most_spent'").fetchone()
    steps = max(_steps(db), most[0] if most else 0)
    if not steps:
        return 0.0
    from opacus.accountants import RDPAccountant

    accountant = RDPAccountant()
    accountant.history = [(settings.noise, 1.0, steps)]
    return float(accountant.get_epsilon(settings.delta))


def _steps(db: sqlite3.Connection, where: str = "") -> int:
    """Return the most steps that a user took part in."""
    found = db.execute(
        "SELECT max(steps) FROM (SELECT spent + coalesce(sum(times), 0) AS steps FROM author "
        "JOIN review ON review.author = author.id LEFT JOIN release ON release.item = review.item "
        f"{where} GROUP BY author.id)"
    ).fetchone()
    return int(found[0] or 0)
