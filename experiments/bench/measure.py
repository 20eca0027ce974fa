"""Times the package against an alternative: both run in turns, and the ratio of their times is reported.

A ratio differs less between machines than a time does.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

import torch


@dataclass(frozen=True)
class Case:
    """A benchmark: two ways to do the same work, and a check that their results are equal."""

    name: str
    """The benchmark's name, one or two words."""
    what: str
    """A description of the work and its amount."""
    against: str
    """A description of the alternative."""
    ours: Callable[[], Any]
    """Does the work with the package."""
    alternative: Callable[[], Any]
    """Does the work in the other way."""
    same: Callable[[Any, Any], bool]
    """Returns whether the two results, ours first, are equal."""
    work: float
    """Units of work in one call of `ours`."""
    unit: str
    """Unit of speed, such as `reviews/s`."""
    goal: float
    """The ratio to reach."""
    part: float = 1.0
    """Share of `work` that the alternative does; below 1 if all of it would take too long."""
    repeats: int = 3
    """Number of timed pairs of calls."""


class Row(NamedTuple):
    """A row of results.json; a ratio above 1 means that ours is faster."""

    name: str
    what: str
    against: str
    ours: float
    """Units of work per second, median."""
    alternative: float
    """Units of work per second of the alternative, median."""
    ratio_median: float
    ratio_min: float
    ratio_max: float
    unit: str
    device: str
    goal: float


def measure(
    case: Case,
    device: str,
    advance: Callable[[int], None] = lambda _: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Row:
    """Run both once as a warm-up, compare the results, then time both in turns.

    Args:
        case: the benchmark.
        device: description of the device.
        advance: called with 1 after each pair of calls.
        clock: returns the time in seconds.

    Raises:
        ValueError: the two results differ.
    """
    if not case.same(case.ours(), case.alternative()):
        raise ValueError(f"bench {case.name}: ours and the alternative ({case.against}) give different results")
    advance(1)
    times = []
    for _ in range(case.repeats):
        times.append((seconds(case.ours, clock), seconds(case.alternative, clock) / case.part))
        advance(1)
    ratios = [theirs / ours for ours, theirs in times]
    ours, theirs = (case.work / median(column) for column in zip(*times, strict=True))
    return Row(
        case.name, case.what, case.against, ours, theirs, median(ratios), min(ratios), max(ratios), case.unit, device,
        case.goal,
    )  # fmt: skip


def seconds(call: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the duration of one call by `clock`."""
    gc.collect()
    start = clock()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - start
