"""Ours and an alternative, one after the other, several times: the ratio of their times, which machines share more than
times.
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
    """One benchmark: the same work done twice, and how to see that it is the same."""

    name: str
    """In a word or two."""
    what: str
    """What is done, and how much of it."""
    against: str
    """The alternative, in words."""
    ours: Callable[[], Any]
    alternative: Callable[[], Any]
    same: Callable[[Any, Any], bool]
    """Whether the two results, ours first, are equal."""
    work: float
    """Units of work in one call."""
    unit: str
    """What `work` counts."""
    goal: float
    """The ratio to reach."""
    part: float = 1.0
    """Share of `work` that the alternative does, where all of it would take too long."""
    repeats: int = 3
    """Pairs of timed calls."""


class Row(NamedTuple):
    """A line of results.json; ratios above 1 mean that ours is faster."""

    name: str
    what: str
    against: str
    ours: float
    """Units of work a second, median."""
    alternative: float
    ratio_median: float
    ratio_min: float
    ratio_max: float
    unit: str
    device: str
    goal: float


def measure(case: Case, device: str, advance: Callable[[int], None] = lambda _: None) -> Row:
    """Run both once to warm up and compare, then in turns.

    Args:
        case: what to run.
        device: where it runs, in words.
        advance: told after each pair.

    Raises:
        ValueError: the two results differ.
    """
    if not case.same(case.ours(), case.alternative()):
        raise ValueError(f"bench {case.name}: ours and the alternative ({case.against}) give different results")
    advance(1)
    times = []
    for _ in range(case.repeats):
        times.append((seconds(case.ours), seconds(case.alternative) / case.part))
        advance(1)
    ratios = [theirs / ours for ours, theirs in times]
    ours, theirs = (case.work / median(column) for column in zip(*times, strict=True))
    return Row(
        case.name, case.what, case.against, ours, theirs, median(ratios), min(ratios), max(ratios), case.unit, device,
        case.goal,
    )  # fmt: skip


def seconds(call: Callable[[], Any]) -> float:
    """How long one call takes."""
    gc.collect()
    began = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began
