"""Stores the votes of the blind test in a SQLite file, and compares them with the metrics.

    agreement = share of votes for the text that the metric prefers; a vote for neither counts as a half

The interval is Wilson's, for votes that do not depend on one another.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

Choice = Literal["a", "b", "neither"]
REAL = "real"
"""The name of the system that stands for the user's own review."""
_Z = 1.959964
"""The quantile of the normal distribution for an interval of 95%."""
_TABLE = """
CREATE TABLE IF NOT EXISTS votes (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, category TEXT NOT NULL, user TEXT NOT NULL, item TEXT NOT NULL,
    seed INTEGER NOT NULL, system_a TEXT NOT NULL, system_b TEXT NOT NULL, text_a TEXT NOT NULL, text_b TEXT NOT NULL,
    choice TEXT NOT NULL CHECK (choice IN ('a', 'b', 'neither')),
    rouge_a REAL, rouge_b REAL, nll_a REAL, nll_b REAL
) STRICT
"""


@dataclass(frozen=True)
class Vote:
    """A pair of texts and which of them a voter took for the user's.

    Args:
        category: the category.
        user: the user.
        item: the item.
        seed: the seed of the texts.
        system_a: which system wrote the first text; `real` for the user's own review.
        system_b: which system wrote the second text.
        text_a: the first text.
        text_b: the second text.
        rouge_a: ROUGE-1 of the first text with the real review; None for the real review itself.
        rouge_b: ROUGE-1 of the second text.
        nll_a: the NLL of the real review under the first system, in nats per token; None for the real review itself.
        nll_b: the NLL of the real review under the second system.
        choice: the text that the voter chose, or `neither` if they could not tell.
    """

    category: str
    user: str
    item: str
    seed: int
    system_a: str
    system_b: str
    text_a: str
    text_b: str
    rouge_a: float | None
    rouge_b: float | None
    nll_a: float | None
    nll_b: float | None
    choice: Choice = "neither"


class Share(NamedTuple):
    """A share of votes with its interval of 95%; `n` is the number of votes."""

    share: float
    low: float
    high: float
    n: int


class Votes:
    """The votes of a run; a vote is on the disk when `add` returns.

    Args:
        path: the SQLite file, which is made with the first vote.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, vote: Vote) -> None:
        """Store a vote."""
        row = {"time": time.time(), **asdict(vote)}
        names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
        with closing(sqlite3.connect(self.path, timeout=30)) as file, file:
            file.execute(_TABLE)
            file.execute(f"INSERT INTO votes ({names}) VALUES ({marks})", row)

    def all(self) -> list[Vote]:
        """Return all votes, oldest first."""
        if not self.path.is_file():
            return []
        names = ", ".join(Vote.__dataclass_fields__)
        with closing(sqlite3.connect(self.path, timeout=30)) as file, file:
            file.execute(_TABLE)
            return [Vote(*row) for row in file.execute(f"SELECT {names} FROM votes ORDER BY id")]


def chosen(votes: Sequence[Vote], system: str) -> Share | None:
    """Return the share of votes for a system among votes between it and another; None without votes."""
    return share([_points(vote, vote.system_a == system) for vote in votes])


def against(votes: Sequence[Vote], system: str, other: str) -> list[Vote]:
    """Return the votes between two systems."""
    return [vote for vote in votes if {vote.system_a, vote.system_b} == {system, other}]


def prefers_rouge(vote: Vote) -> bool | None:
    """Return whether the first text has the higher ROUGE-1; None for equal values or a real review."""
    return _greater(vote.rouge_a, vote.rouge_b)


def prefers_nll(vote: Vote) -> bool | None:
    """Return whether the real review has the lower NLL under the first system; None for equal values or a real one."""
    return _greater(vote.nll_b, vote.nll_a)


def agreement(votes: Sequence[Vote], prefers: Callable[[Vote], bool | None]) -> Share | None:
    """Return how often voters choose the text that a metric prefers; None if it prefers none anywhere."""
    preferred = [(vote, first) for vote in votes if (first := prefers(vote)) is not None]
    return share([_points(vote, first) for vote, first in preferred])


def share(points: Sequence[float]) -> Share | None:
    """Return the mean of points from 0 to 1 with Wilson's interval; None for no points."""
    n = len(points)
    if not n:
        return None
    p = sum(points) / n
    middle = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
    return Share(p, max(0.0, middle - half), min(1.0, middle + half), n)


def _points(vote: Vote, first: bool) -> float:
    """Return 1 for a vote for the named text, 0 for one for the other, and a half for neither."""
    return 0.5 if vote.choice == "neither" else float((vote.choice == "a") == first)


def _greater(a: float | None, b: float | None) -> bool | None:
    return None if a is None or b is None or a == b else a > b
