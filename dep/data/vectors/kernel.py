"""The compiled inner loop of Eq. 4, which reads and writes each review's vectors only once.

    total = sum over reviewers j of the item of e_uj          e_diff = e_his - (total - e_u) / m

m is the number of peers. e_u is the author's own mean on the item; it is subtracted only if it is part of the total.

The vectors of one item fit into a processor's cache, so reading from memory takes most of the time. Vectors are
therefore prefetched (`prefetch.py`): a vector that will be read is fetched a few reviews ahead, and one that will be
written while the sum runs. This doubles the speed if the vectors of an item are scattered in memory. Sums are in
float64 and in the order of reviews. Most items have no two reviews by one user, and need no means.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from dep.data.vectors import prefetch

_AHEAD = 4
"""How many reviews ahead a vector is prefetched; any value from 2 to 21 is about as fast."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


def subtract(
    threads: int,
    his: Floats,
    item: Ints,
    source: Ints,
    user: Ints,
    counts: NDArray[np.bool_],
    out: Floats,
    peers: Ints,
) -> None:
    """Write the difference of each review from the mean of an item's reviewers.

    Args:
        threads: number of threads; it does not change the result.
        his: [N, E] vectors.
        item: [N], the item of each review, numbered from 0.
        source: [items], for each item the item whose reviewers are its peers: itself, or another for the control.
        user: [N], the author of each review, numbered from 0.
        counts: [N], whether a review counts as a peer's.
        out: [N, E], receives the differences.
        peers: [N], receives the number of peers of each review.
    """
    most: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    numba.set_num_threads(min(threads, most))
    rows = np.arange(len(user))
    if np.any(user[1:] < user[:-1]):
        rows, _ = _sorted(rows, user)
    order, starts = _sorted(rows, item)
    _subtract(his, order, starts, source, user, counts, out, peers)


@numba.njit(cache=True, nogil=True)
def _sorted(rows: Ints, key: Ints) -> tuple[Ints, Ints]:
    """Sort `rows` by key with a stable counting sort; also return where each key starts."""
    starts = np.zeros(key.max() + 2, np.int64)
    before, ordered = 0, True
    for row in rows:
        ordered &= key[row] >= before
        before = key[row]
        starts[before + 1] += 1
    starts = np.cumsum(starts)
    if ordered:
        return rows, starts
    order, at = np.empty_like(rows), starts.copy()
    for row in rows:
        order[at[key[row]]] = row
        at[key[row]] += 1
    return order, starts


@numba.njit(parallel=True, cache=True, nogil=True)
def _subtract(
    his: Floats,
    order: Ints,
    starts: Ints,
    source: Ints,
    user: Ints,
    counts: NDArray[np.bool_],
    out: Floats,
    peers: Ints,
) -> None:
    """Do the work of `subtract`; `order` holds the rows sorted by item and user, `starts` where each item begins."""
    width = his.shape[1]
    for item in numba.prange(len(source)):
        first, last = starts[source[item]], starts[source[item] + 1]
        if source[item] == item and _once(order, user, counts, first, last):
            _plain(his, order, first, last, out, peers)
            continue
        total, mean = np.zeros(width), np.zeros(width)
        reviewers = 0
        begin = first
        while begin < last:
            end, written = _mean(his, order, user, counts, begin, last, mean)
            if written:
                reviewers += 1
                for e in range(width):
                    total[e] += mean[e]
            begin = end
        at, own, current = first, 0, np.int64(-1)
        for place in range(starts[item], starts[item + 1]):
            row = order[place]
            if user[row] != current:
                current, own = user[row], 0
                while at < last and user[order[at]] < current:
                    at += 1
                if at < last and user[order[at]] == current:
                    at, own = _mean(his, order, user, counts, at, last, mean)
                if not own:
                    mean[:] = 0.0
            others = reviewers - (1 if own else 0)
            peers[row] = others
            if others:
                share = 1.0 / others
                for e in range(width):
                    out[row, e] = his[row, e] - (total[e] - mean[e]) * share
            else:
                out[row] = 0.0


@numba.njit(cache=True, nogil=True, inline="always")
def _once(order: Ints, user: Ints, counts: NDArray[np.bool_], first: int, last: int) -> bool:
    """Return whether all reviews of an item count as a peer's and have different authors."""
    for place in range(first, last):
        if not counts[order[place]] or (place > first and user[order[place]] == user[order[place - 1]]):
            return False
    return True


@numba.njit(cache=True, nogil=True, inline="always")
def _plain(his: Floats, order: Ints, first: int, last: int, out: Floats, peers: Ints) -> None:
    """Write the differences for an item for which `_once` is true."""
    total = np.zeros(his.shape[1])
    others = last - first - 1
    share = 1.0 / others if others else 0.0
    for place in range(first, last):
        if place + _AHEAD < len(order):
            prefetch.to_read(his, order[place + _AHEAD])
        prefetch.to_write(out, order[place])
        own = his[order[place]]
        for e in range(len(total)):
            total[e] += own[e]
    for place in range(first, last):
        row = order[place]
        own, written = his[row], out[row]
        peers[row] = others
        if others:
            for e in range(len(total)):
                written[e] = own[e] - (total[e] - own[e]) * share
        else:
            written[:] = 0.0


@numba.njit(cache=True, nogil=True, inline="always")
def _mean(
    his: Floats, order: Ints, user: Ints, counts: NDArray[np.bool_], begin: int, last: int, mean: NDArray[np.float64]
) -> tuple[int, int]:
    """Write to `mean` the mean of one user's counted reviews; return where the user's rows end, and how many count."""
    who, written, at = user[order[begin]], 0, begin
    while at < last and user[order[at]] == who:
        row = order[at]
        if at + _AHEAD < len(order):
            prefetch.to_read(his, order[at + _AHEAD])
        if counts[row]:
            if written:
                for e in range(len(mean)):
                    mean[e] += his[row, e]
            else:
                for e in range(len(mean)):
                    mean[e] = his[row, e]
            written += 1
        at += 1
    if written > 1:
        for e in range(len(mean)):
            mean[e] /= written
    return at, written
