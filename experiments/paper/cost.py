"""Quality and cost of a history by its length, as texts and as vectors: the points of `make cost`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table

from dep.reporting.tables import number, title
from experiments.paper.varied import by_value

METRICS = ("nll", "meteor")


class Point(NamedTuple):
    """A method at one length of history."""

    method: str
    """Label of the method's line."""
    history: int
    """Number of past reviews."""
    values: dict[str, tuple[float, float, float]]
    """Metric -> (value, low, high) with the 95% interval, all categories pooled."""
    tokens: float
    """Tokens of the prompt."""
    gflops: float
    """Operations of reading a request and its real review once, in 10^9."""
    seconds: float
    """Time of the same reading, for one request alone."""
    kv_bytes: float
    """Size of the prompt's keys and values in the LLM's cache."""


def points(run: Path) -> list[Point]:
    """Return the points of a finished run that varies `prompt.history`, sorted by method and length.

    Args:
        run: folder of the run.
    """
    results, run_facts = (json.loads((run / name).read_text("utf-8")) for name in ("results.json", "run.json"))
    values: dict[str, dict[str, tuple[float, float, float]]] = {}
    for row in results["rows"]:
        if row["category"] == "all" and row["metric"] in METRICS:
            values.setdefault(row["arm"], {})[row["metric"]] = (row["value"], row["ci_low"], row["ci_high"])
    result = []
    for arm, (line, history) in by_value(results).items():
        cost = run_facts["costs"][arm]
        measured = (cost["prompt_tokens"], cost["gflops"], cost["seconds"], cost["kv_bytes"])
        result.append(Point(line, history, values[arm], *measured))
    return sorted(result, key=lambda point: (point.method, point.history))


COLUMNS = ("method", "past reviews", *map(title, METRICS), "prompt tokens", "GFLOP", "ms", "KV cache, kB")


def cells(point: Point) -> list[str]:
    """Format a point for the columns of `COLUMNS`."""
    return [
        point.method, str(point.history), *(number(metric, point.values[metric][0]) for metric in METRICS),
        f"{point.tokens:,.0f}", f"{point.gflops:.2f}", f"{1000 * point.seconds:,.0f}", f"{point.kv_bytes / 1000:,.0f}",
    ]  # fmt: skip


def table(result: Sequence[Point]) -> Table:
    """Build the table for a terminal."""
    grid = Table(title="Quality and cost by length of history", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for at, name in enumerate(COLUMNS):
        grid.add_column(name, justify="right" if at else "left")
    for before, point in zip((None, *result), result, strict=False):
        if before is not None and before.method != point.method:
            grid.add_section()
        grid.add_row(*cells(point))
    return grid
