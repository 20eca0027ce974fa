"""Benchmarks Eq. 4 for many reviews against a loop over each review's peers, and against a copy of the vectors.

A copy is the lower limit: it reads and writes every vector once and computes nothing.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dep.data.vectors.difference import differences
from experiments.bench.measure import Case

PART = 2000
"""Number of reviews that the loop computes; it is too slow for all of them."""
MEMORY_LIMIT = 1e9
"""Bytes that the computation may allocate in addition to the memory-mapped files of the vectors."""


class World(NamedTuple):
    """Random reviews, whose vectors [N, E] are in one file; another file has room for the differences."""

    his: Tensor
    out: Tensor
    users: Any
    """Name or number of each review's user."""
    items: Any
    """Name or number of each review's item."""


@cache
def world(reviews: int, width: int, peers: int) -> World:
    """Make reviews in random order: `peers` + 1 users review each item, and each user writes one review."""
    draw = torch.Generator().manual_seed(0)
    order = torch.randperm(reviews, generator=draw).tolist()
    folder = Path(tempfile.mkdtemp(prefix="dep-bench-", dir=_in_memory(8 * reviews * width)))
    his, out = (
        torch.from_file(str(folder / name), shared=True, size=reviews * width).view(reviews, width)
        for name in ("his", "diff")
    )
    for rows in torch.arange(reviews).split(50_000):
        block = torch.randn(len(rows), width, generator=draw)
        his[rows[0] : rows[-1] + 1] = torch.nn.functional.normalize(block, dim=1)
    for name in ("his", "diff"):
        (folder / name).unlink()  # the mapping keeps the data until the process ends
    folder.rmdir()
    return World(his, out, [f"u{at}" for at in order], [f"i{at // (peers + 1)}" for at in order])


def _in_memory(size: int) -> Path | None:
    """Return an in-memory file system with space for twice `size` bytes, or None.

    On a disk, the timed call sometimes waits while the kernel writes an earlier result: 7.1 µs a review instead of 0.4.
    """
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > 2 * size else None


def looped(data: World, count: int) -> Tensor:
    """Compute the differences [count, E] of the first `count` reviews in a loop over peers."""
    rows_by_item: dict[str, list[int]] = defaultdict(list)
    for row, item in enumerate(data.items):
        rows_by_item[item].append(row)
    differences_NE = []
    for row in range(count):
        total, peers = torch.zeros(data.his.shape[1]), 0
        for other in rows_by_item[data.items[row]]:
            if data.users[other] != data.users[row]:
                total = total + (data.his[row] - data.his[other])
                peers += 1
        differences_NE.append(total / max(peers, 1))
    return torch.stack(differences_NE)


def by_item(reviews: int, width: int, peers: int) -> World:
    """Return the same reviews sorted by item, with numbers in place of names."""
    at = torch.arange(reviews)
    return world(reviews, width, peers)._replace(users=at, items=at // (peers + 1))


@contextmanager
def within(limit: float) -> Iterator[None]:
    """Fail if the process allocates more than `limit` bytes inside the block; files mapped into memory do not count.

    Raises:
        MemoryError: the process allocated more.
    """
    before, most, done = _allocated(), 0.0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.005):
            most = max(most, _allocated() - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    if most > limit:
        raise MemoryError(f"expected at most {limit / 1e9:.1f} GB without the mapped files, found {most / 1e9:.1f}")


def _allocated() -> float:
    """Return the bytes of the process's memory that belong to no file."""
    status = Path("/proc/self/status").read_text().split("RssAnon:")[1]
    return 1024.0 * int(status.split()[0])


def against_loop(reviews: int = 1_000_000, width: int = 384, peers: int = 20) -> Case:
    """Benchmark against a loop that follows the equation literally; it also checks the memory limit."""
    count = min(PART, reviews)

    def same(ours: Tensor, theirs: Tensor) -> bool:
        equal = torch.allclose(ours[:count], theirs, atol=1e-6)
        with within(MEMORY_LIMIT):
            _ours(world(reviews, width, peers))
        return equal

    return Case(
        "differences", f"{reviews:,} reviews x {width}, {peers} peers", "a loop over the peers of each review",
        lambda: _ours(world(reviews, width, peers)), lambda: looped(world(reviews, width, peers), count), same,
        reviews, "reviews/s", 200, part=count / reviews,
    )  # fmt: skip


def against_copy(reviews: int = 1_000_000, width: int = 384, peers: int = 20) -> Case:
    """Benchmark against a copy of the vectors, the least work that reads and writes every vector.

    Reviews are sorted by item, since finding randomly ordered vectors of 1.5 kB in a file takes longer than reading
    them.
    """
    data = by_item(reviews, width, peers)
    return Case(
        "differences, by bandwidth", f"{reviews:,} reviews x {width} by item, {peers} peers", "a copy of the vectors",
        lambda: _ours(data), lambda: data.out.copy_(data.his), lambda ours, copy: _are_differences(data, peers),
        reviews, "reviews/s", 0.6, repeats=9,
    )  # fmt: skip


def against_fewer(reviews: int = 1_000_000, width: int = 384, peers: int = 20) -> Case:
    """Benchmark of linear scaling: half of the reviews should take half of the time.

    Both sizes are much larger than any cache. A tenth of the reviews (150 MB) would be too few: finding one of their
    vectors takes half the time. Both sides run the package's own code, whose results `against_loop` checks.
    """
    few = reviews // 2
    return Case(
        "differences, linear", f"{reviews:,} reviews x {width}, {peers} peers", f"twice {few:,} reviews",
        lambda: _ours(world(reviews, width, peers)), lambda: _ours(world(few, width, peers)), lambda ours, theirs: True,
        reviews, "reviews/s", 0.8, part=few / reviews, repeats=21,
    )  # fmt: skip


def _are_differences(data: World, peers: int) -> bool:
    """Compute the differences again, since the copy has overwritten them, and compare them with those of a loop."""
    count = min(PART, len(data.his)) // (peers + 1) * (peers + 1)
    numbers = World(data.his, data.out, data.users.tolist()[:count], data.items.tolist()[:count])
    return torch.allclose(_ours(data)[:count], looped(numbers, count), atol=1e-6)


def _ours(data: World) -> Tensor:
    return differences(data.his, data.users, data.items, out=data.out)[0]
