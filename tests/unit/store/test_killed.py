"""A process that is killed while it updates a store leaves whole batches and right sums."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from dep.store.exact_sums import to_integers
from dep.store.peer_index import PeerIndex

from .conftest import E, review, vectors

BATCH = 40


def keep_adding(path: Path, told: Connection, first: int) -> None:
    """Add batches without end, and tell the number of each when it is in the store; each replaces some reviews."""
    with PeerIndex.open(path, E) as index:
        for number in range(first, first + 100_000):
            rows = [review(f"u{at}", f"i{at % 7}", number, f"batch {number}") for at in range(BATCH // 2)]
            rows += [review(f"new{number}-{at}", f"i{at % 7}", number, f"batch {number}") for at in range(BATCH // 2)]
            index.add(rows, vectors(BATCH, number))
            told.send(number)


def whole_batches(path: Path) -> list[int]:
    """Check counts and sums against the reviews, and return the numbers of the batches that are in the file."""
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for table, join in (
        ("item", "review.item = {0}"),
        ("category", "item IN (SELECT id FROM item WHERE category = {0})"),
    ):
        for number, count, total in db.execute(f"SELECT id, count, sum FROM {table}").fetchall():
            found = db.execute(f"SELECT vector FROM review WHERE {join.format(number)}").fetchall()
            x = np.stack([np.frombuffer(vector, np.float32) for (vector,) in found])
            assert count == len(x)
            assert np.array_equal(np.frombuffer(total, np.int64), to_integers(x).sum(0))
    rows = db.execute("SELECT text, count(*) FROM review GROUP BY text").fetchall()
    db.close()
    newest = max(int(text.split()[1]) for text, _ in rows)
    assert dict(rows) == {f"batch {n}": BATCH if n == newest else BATCH // 2 for n in range(newest + 1)}
    return list(range(newest + 1))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the test forks, so that a child need not import torch")
def test_a_killed_update_leaves_whole_batches_and_all_that_were_confirmed(tmp_path: Path) -> None:
    path, done = tmp_path / "store.sqlite", -1
    fork = multiprocessing.get_context("fork")
    for after in (3, 1, 7):
        hears, tells = fork.Pipe(duplex=False)
        child = fork.Process(target=keep_adding, args=(path, tells, done + 1))
        child.start()
        for _ in range(after):
            assert hears.poll(60)
            confirmed = hears.recv()
        assert child.pid
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        tells.close()
        with suppress(EOFError):  # after the last number that the child could tell
            while True:
                confirmed = hears.recv()
        done = whole_batches(path)[-1]
        assert confirmed <= done <= confirmed + 1
    with PeerIndex.open(path, E) as index:
        assert len(index) == BATCH // 2 * (done + 2)
        assert len(index.history("u0")) == 1
