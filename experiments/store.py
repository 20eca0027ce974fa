"""Measures a store of reviews: updates a second, reads, deletions, kills, exactness and what private means cost.

    python -m experiments.store [reviews, by default 1000000]

Vectors are given (384 numbers). Users write 20 reviews each; items are drawn by a power law. Updates are timed in
batches of 20,000. Processor time is that of one core; the clock also counts what else the machine does. A build of a
million reviews takes about a minute and 3 GB.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from dep.store.exact_sums import to_integers
from dep.store.peer_index import PeerIndex
from dep.store.private_means import clipped
from dep.store.reviews import StoredReview
from dep.utils.progress import stage

WIDTH = 384
_BATCH = 20_000
_EACH = 20
_TEXT = "A plain sentence about the thing that somebody bought. " * 6
Row = tuple[str, str]


def reviews(start: int, count: int, items: np.ndarray, text: str = _TEXT) -> list[StoredReview]:
    """Return the reviews of some numbers; the users take turns, so that a user's reviews lie apart in the file."""
    users = max(1, len(items) // _EACH)
    return [
        StoredReview("Music", f"u{n % users}", f"i{item}", f"Item {item}", "", text, 4.0, "Title", n)
        for n, item in enumerate(items[start : start + count].tolist(), start)
    ]


def drawn_items(total: int) -> np.ndarray:
    """Draw the item of each review; a few items have thousands of reviews and most have a few."""
    rng = np.random.default_rng(0)
    return np.minimum(rng.pareto(0.7, total) * 20, total / 10 + rng.integers(0, max(total // 50, 1), total)).astype(int)


def unit_vectors(count: int, seed: int = 0) -> torch.Tensor:
    drawn = torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(drawn, dim=1)


def updates(index: PeerIndex, total: int, batch: int = _BATCH) -> Iterator[Row]:
    """Add `total` reviews, then replace a batch and delete single reviews; yield the rows of the table."""
    items, vectors = drawn_items(total), unit_vectors(batch)
    spent, elapsed = 0.0, 0.0
    with stage(f"adding {total:,} reviews", total) as advance:
        for start in range(0, total, batch):
            rows = reviews(start, min(batch, total - start), items)
            last, took = _timed(lambda rows=rows: index.add(rows, vectors[: len(rows)]))  # type: ignore[misc]
            spent, elapsed = spent + last, elapsed + took
            advance(len(rows))
    yield f"reviews added a second, 0 to {total:,}", _rates(total, spent, elapsed)
    yield "the same, last batch", _rates(len(rows), last, took)
    again = reviews(0, min(batch, total), items, "Other words than before. " * 12)
    yield "reviews replaced a second", _rates(len(again), *_timed(lambda: index.add(again, vectors[: len(again)])))


def reads(index: PeerIndex, users: int, count: int = 500) -> Iterator[Row]:
    """Time reads of users who are drawn at random, each once; yield the rows of the table."""
    names = [f"u{n}" for n in random.Random(0).sample(range(users), min(count, users))]
    now = _newest(index)
    yield "file", f"{index.path.stat().st_size / 1e9:.2f} GB for {len(index):,} reviews"
    kinds: dict[str, Callable[[str], object]] = {
        "8 newest differences of a user, first read": lambda user: index.history(user, newest=8),
        "the same, again": lambda user: index.history(user, newest=8),
        "the same, as of half the time": lambda user: index.history(user, newest=8, before=now // 2),
        "peer mean of a requested item": lambda user: index.peer_mean("Music", f"i{len(user)}", without=user),
    }
    for name, read in kinds.items():
        taken, spent = [], []
        for user in names if "as of" not in name else names[:50]:
            start, before = time.perf_counter(), time.thread_time()
            read(user)
            taken.append(1000 * (time.perf_counter() - start))
            spent.append(1000 * (time.thread_time() - before))
        yield (
            name,
            (
                f"p50 {np.percentile(spent, 50):.2f} ms, p95 {np.percentile(spent, 95):.2f} ms by processor time; "
                f"p50 {np.percentile(taken, 50):.2f} ms by the clock"
            ),
        )


def deletions(index: PeerIndex, users: int, count: int = 20) -> Iterator[Row]:
    """Time the deletion of users; yield the row of the table."""
    taken = []
    for n in range(min(count, users)):
        start = time.perf_counter()
        index.delete_user(f"u{n}")
        taken.append(1000 * (time.perf_counter() - start))
    yield "delete a user, with an empty log after it", f"p50 {np.percentile(taken, 50):.0f} ms"


def kills(folder: Path, count: int, seconds: float = 0.3) -> Iterator[Row]:
    """Kill a process at a random moment of its updates, `count` times; yield what was lost or wrong."""
    fork, rng = multiprocessing.get_context("fork"), random.Random(0)
    path, wrong, kept = folder / "killed.sqlite", 0, 0
    for _ in range(count):
        ready = fork.Event()
        child = fork.Process(target=_keep_adding, args=(path, ready))
        child.start()
        ready.wait(30)
        time.sleep(rng.random() * seconds)
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
        batches = _broken_batches(path)
        wrong, kept = wrong + batches[0], batches[1]
    yield f"killed (SIGKILL) {count} times while updating", f"{kept} batches kept, {wrong} broken batches or sums"


def exactness(count: int = 32, trials: int = 50) -> Iterator[Row]:
    """Add and subtract vectors in random order by both kinds of sum; yield how often a rebuild has the same bytes."""
    equal, rng = [0, 0], np.random.default_rng(0)
    for trial in range(trials):
        x = unit_vectors(count, trial).numpy()
        gone = rng.permutation(count)[: count // 4]
        stays = np.setdiff1d(np.arange(count), gone)
        steps = [(n, 1) for n in rng.permutation(count)] + [(n, -1) for n in gone]
        exact = sum((sign * to_integers(x[n]) for n, sign in steps), np.zeros(WIDTH, np.int64))
        equal[0] += np.array_equal(exact, to_integers(x[stays]).sum(0))
        rebuilt = _compensated([(x[n], 1) for n in stays])
        equal[1] += np.array_equal(_compensated([(x[n], sign) for n, sign in steps]), rebuilt)
    yield (
        "sums with the bytes of a rebuild after deletions",
        (f"exact integers {equal[0] / trials:.0%}, compensated float32 {equal[1] / trials:.0%}"),
    )


def private(sizes: Sequence[int] = (10, 100, 1000, 10_000)) -> Iterator[Row]:
    """Yield the cosine of private and true means, of vectors that share a direction as reviews of an item do."""
    for size in sizes:
        shared = unit_vectors(1, 1)
        x = torch.nn.functional.normalize(unit_vectors(size) + shared, dim=1).numpy()
        noise = np.random.default_rng(0).normal(0, 2**0.5, WIDTH)
        true = clipped(x, 1.0).sum(0)
        cosine = float(np.dot(true, true + noise) / np.linalg.norm(true) / np.linalg.norm(true + noise))
        yield f"private mean of {size:,} reviews, noise 1", f"cosine {cosine:.2f} with the true mean"


def _timed(work: Callable[[], None]) -> tuple[float, float]:
    """Return the processor time and the time by the clock, in seconds."""
    spent, start = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - spent, time.perf_counter() - start


def _rates(count: int, spent: float, elapsed: float) -> str:
    return f"{count / spent:,.0f} by processor time, {count / elapsed:,.0f} by the clock"


def _newest(index: PeerIndex) -> int:
    return max(past.review.time for past in index.history("u0", newest=1))


def _compensated(steps: Sequence[tuple[np.ndarray, int]]) -> np.ndarray:
    """Sum float32 vectors with a compensation term (Neumaier); return both parts."""
    total, lost = np.zeros(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
    for vector, sign in steps:
        term = np.float32(sign) * vector
        new = total + term
        lost += np.where(abs(total) >= abs(term), (total - new) + term, (term - new) + total)
        total = new
    return np.stack([total, lost])


def _keep_adding(path: Path, ready: Event) -> None:
    with PeerIndex.open(path, WIDTH) as index:
        number, vectors = time.monotonic_ns(), unit_vectors(200)
        while True:
            rows = [
                StoredReview("Music", f"u{number}-{n}", f"i{n % 40}", "", "", str(number), 4.0, "", n)
                for n in range(200)
            ]
            index.add(rows, vectors)
            ready.set()
            number += 1


def _broken_batches(path: Path) -> tuple[int, int]:
    """Return how many batches are not whole or items have a wrong sum, and how many batches there are."""
    db = sqlite3.connect(path)
    counts = [count for (count,) in db.execute("SELECT count(*) FROM review GROUP BY text")]
    wrong = sum(count != 200 for count in counts) + wrong_sums(db)
    db.close()
    return wrong, len(counts)


def wrong_sums(db: sqlite3.Connection) -> int:
    """Return how many items have a count or a sum that is not that of their reviews."""
    wrong = 0
    for item, count, total in db.execute("SELECT id, count, sum FROM item").fetchall():
        found = db.execute("SELECT vector FROM review WHERE item = ?", (item,))
        rows = [np.frombuffer(row, np.float32) for (row,) in found]
        wrong += count != len(rows) or to_integers(np.stack(rows)).sum(0).tobytes() != total
    return wrong


def main(total: int, folder: Path, console: Console, batch: int = _BATCH, killed: int = 10) -> list[Row]:
    """Measure everything in a folder, print the table, and return its rows."""
    with PeerIndex.open(folder / "store.sqlite", WIDTH) as index:
        rows = list(updates(index, total, batch))
    with PeerIndex.open(folder / "store.sqlite") as index:
        rows += [*reads(index, total // _EACH), *deletions(index, total // _EACH)]
    rows += [*kills(folder, killed), *exactness(trials=max(killed * 10, 1)), *private()]
    table = Table("measured", "result", box=None)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    return rows


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as made:
        main(int((sys.argv[1:] or ["1000000"])[0]), Path(made), Console(soft_wrap=True))
