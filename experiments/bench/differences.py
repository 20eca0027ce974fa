"""Eq. 4 for many reviews: against a loop over each review's peers, and against a copy, which nothing can beat."""

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
"""Reviews that the loop is given."""
ROOM = 1e9
"""Bytes that the work may take beside the vectors' files, which are mapped into memory."""


class World(NamedTuple):
    """Random reviews: vectors in a file, differences to go into another."""

    his: Tensor
    out: Tensor
    users: Any
    """Names or numbers."""
    items: Any


@cache
def world(reviews: int, width: int, peers: int) -> World:
    """Every item is reviewed by `peers` + 1 users, each of whom writes once; rows are in random order, with names."""
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
        (folder / name).unlink()  # the mapping keeps it until the process ends
    folder.rmdir()
    return World(his, out, [f"u{at}" for at in order], [f"i{at // (peers + 1)}" for at in order])


def _in_memory(size: int) -> Path | None:
    """A file system in memory with room for twice `size` bytes, where there is one.

    On a disk what is timed is now and then the kernel writing an earlier result back: 7.1 µs a review in place of 0.4.
    """
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > 2 * size else None


def looped(made: World, count: int) -> Tensor:
    """The differences of the first `count` reviews, peer by peer."""
    of_item: dict[str, list[int]] = defaultdict(list)
    for row, item in enumerate(made.items):
        of_item[item].append(row)
    found = []
    for row in range(count):
        total, peers = torch.zeros(made.his.shape[1]), 0
        for other in of_item[made.items[row]]:
            if made.users[other] != made.users[row]:
                total = total + (made.his[row] - made.his[other])
                peers += 1
        found.append(total / max(peers, 1))
    return torch.stack(found)


def by_item(reviews: int, width: int, peers: int) -> World:
    """The same vectors, rows in the order of items, with numbers."""
    at = torch.arange(reviews)
    return world(reviews, width, peers)._replace(users=at, items=at // (peers + 1))


@contextmanager
def within(room: float) -> Iterator[None]:
    """Fail where the process comes to hold more than `room` bytes beside what is mapped from files.

    Raises:
        MemoryError: it did.
    """
    before, most, done = _held(), 0.0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.005):
            most = max(most, _held() - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    if most > room:
        raise MemoryError(f"expected at most {room / 1e9:.1f} GB beside the mapped files, found {most / 1e9:.1f}")


def _held() -> float:
    status = Path("/proc/self/status").read_text().split("RssAnon:")[1]
    return 1024.0 * int(status.split()[0])


def against_loop(reviews: int = 1_000_000, width: int = 384, peers: int = 20) -> Case:
    """The equation as it is written."""
    count = min(PART, reviews)

    def same(ours: Tensor, theirs: Tensor) -> bool:
        equal = torch.allclose(ours[:count], theirs, atol=1e-6)
        with within(ROOM):
            _ours(world(reviews, width, peers))
        return equal

    return Case(
        "differences", f"{reviews:,} reviews x {width}, {peers} peers", "a loop over the peers of each review",
        lambda: _ours(world(reviews, width, peers)), lambda: looped(world(reviews, width, peers), count), same,
        reviews, "reviews/s", 200, part=count / reviews,
    )  # fmt: skip


def against_copy(reviews: int = 1_000_000, width: int = 384, peers: int = 20) -> Case:
    """Every vector is read and one is written for it: a copy does no less.

    Rows are in the order of items: strewn over a file, rows of 1.5 kB cost whatever reads them more to find than to
    read.
    """
    made = by_item(reviews, width, peers)
    return Case(
        "differences, by bandwidth", f"{reviews:,} reviews x {width} by item, {peers} peers", "a copy of the vectors",
        lambda: _ours(made), lambda: made.out.copy_(made.his), lambda ours, theirs: True, reviews, "reviews/s", 0.6,
        repeats=9,
    )  # fmt: skip


def against_fewer(reviews: int = 1_000_000, width: int = 384, peers: int = 20) -> Case:
    """Linear: half of the reviews take half of the time.

    Both are far larger than any cache: a row of a tenth of them, 150 MB, is found in half the time.
    """
    few = reviews // 2
    return Case(
        "differences, linear", f"{reviews:,} reviews x {width}, {peers} peers", f"twice {few:,} reviews",
        lambda: _ours(world(reviews, width, peers)), lambda: _ours(world(few, width, peers)), lambda ours, theirs: True,
        reviews, "reviews/s", 0.8, part=few / reviews, repeats=21,
    )  # fmt: skip


def _ours(made: World) -> Tensor:
    return differences(made.his, made.users, made.items, out=made.out)[0]
