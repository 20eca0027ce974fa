"""Builds grids that show our numbers next to the paper's, and how far the two agree on the order of the rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import kendalltau

from dep.reporting.tables import arm_labels
from experiments.paper.paper_tables import Layout

PAPER = Path(__file__).with_name("paper_tables.json")

Number = Mapping[str, Any]
"""A row of results.json: value, ci_low, ci_high, n."""


@dataclass(frozen=True)
class Grid:
    """One table with our numbers and the paper's."""

    layout: Layout
    columns: list[tuple[str, str]]
    """(category, metric) of each column."""
    rows: list[tuple[str, str, list[Number | None], list[float | None]]]
    """(the paper's name of the row or "", our label, our cells, the paper's cells) of each row."""
    tau: dict[tuple[str, str], float]
    """Kendall's τ-b between our order of the rows and the paper's, for each column with at least three common rows."""


def grid(layout: Layout, results: Mapping[str, Any]) -> Grid:
    """Build one table.

    Args:
        layout: layout of the table.
        results: results of the run that `layout.run` names.
    """
    ours = _ours(results)
    paper = {
        (row["method"], row["category"], row["metric"]): float(row["value"])
        for row in json.loads(PAPER.read_text(encoding="utf-8"))["tables"][layout.numbers]
    }
    categories = sorted({row["category"] for row in results["rows"]} - {"all"})
    columns = [(category, metric) for category in categories for metric in layout.metrics] + [("all", "nll")]
    names = [*layout.rows.items(), *(("", arm) for arm in layout.controls)]
    labels = arm_labels(results)
    rows = [
        (name, labels[arm], [ours.get((arm, *column)) for column in columns], [paper.get((name, *c)) for c in columns])
        for name, arm in names
        if any((arm, *column) in ours for column in columns)
    ]
    return Grid(layout, columns, rows, _agreement(columns, rows))


def _ours(results: Mapping[str, Any]) -> dict[tuple[str, str, str], Number]:
    """Return the rows by (arm, category, metric): the mean over seeds, or the only seed."""
    result: dict[tuple[str, str, str], Number] = {}
    for row in results["rows"]:
        key = (row["arm"], row["category"], row["metric"])
        if key not in result or row["seed"] is None:
            result[key] = row
    return result


def _agreement(
    columns: list[tuple[str, str]], rows: list[tuple[str, str, list[Number | None], list[float | None]]]
) -> dict[tuple[str, str], float]:
    tau = {}
    for at, column in enumerate(columns):
        both = [(o[at]["value"], p[at]) for _, _, o, p in rows if o[at] is not None and p[at] is not None]  # type: ignore[index]
        if len(both) >= 3:
            tau[column] = float(kendalltau(*zip(*both, strict=True)).statistic)
    return tau
