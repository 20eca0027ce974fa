"""Builds the main table of each category from `results.json`, and formats its numbers.

A row of the table is an arm, that is, one system of a comparison with its settings. A run has one seed or several.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from dep.evaluation.metrics import load_metric, metric_class, ordered
from dep.evaluation.scores import ALL
from dep.utils.errors import DepError

Results = Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """An arm's value of a metric, with its 95% interval."""

    value: float
    low: float
    high: float
    n: int
    """Number of test reviews."""
    seeds: tuple[float, ...]
    """With several seeds the value of each, whose mean is `value`. Empty for one seed."""
    best: bool
    """Whether this is the metric's best value, as far as the printed decimals show."""


@dataclass(frozen=True)
class Table:
    """The table of one category, with a row for each arm and a column for each metric."""

    category: str
    arms: list[str]
    """The arms' names, in the order of the results."""
    metrics: list[str]
    cells: dict[tuple[str, str], Cell]
    """The cells by arm's name and metric; an arm that lacks a metric has no cell there."""
    labels: dict[str, str]
    """The label by which each arm is shown."""

    @property
    def n(self) -> int:
        """The largest number of test reviews behind a value of the table."""
        return max(cell.n for cell in self.cells.values())

    def seeds(self, arm: str) -> int:
        """Return the number of seeds over which an arm's values are averaged.

        The values of an arm with one seed are no averages; the result is then 0.
        """
        return max(len(cell.seeds) for (name, _), cell in self.cells.items() if name == arm)


def title(metric: str) -> str:
    """Return a metric's label with an arrow that points in the better direction."""
    kind = metric_class(metric)
    return f"{kind.label} {'↑' if kind.higher_is_better else '↓'}"


def number(metric: str, value: float) -> str:
    """Format a value with its metric's number of decimals."""
    return f"{value:.{metric_class(metric).decimals}f}".replace("-", "−")


def signed(metric: str, value: float) -> str:
    """Format a difference with its sign, and with one decimal more than values have (at most four)."""
    return f"{value:+.{min(4, metric_class(metric).decimals + 1)}f}".replace("-", "−")


def best_of(metric: str, values: Iterable[float]) -> float:
    """Return the best among some values of a metric."""
    return (max if metric_class(metric).higher_is_better else min)(values)


def metrics_of(results: Results) -> list[str]:
    """Return the names of all metrics in results.json, in the order of tables.

    A user-defined metric is imported from the module and class in `results["metrics"]`.

    Raises:
        DepError: a metric is unknown.
    """
    for target in (results.get("metrics") or {}).values():
        load_metric(target)
    return ordered(row["metric"] for name in ("rows", "comparisons") for row in results.get(name) or ())


def arm_labels(results: Results) -> dict[str, str]:
    """Return the label by which each arm is shown; an arm's name is added if several arms have its label."""
    labels: dict[str, str] = {}
    for row in results.get("rows") or ():
        labels.setdefault(row["arm"], str(row.get("label") or row["arm"]))
    return distinct(labels)


def distinct(labels: Mapping[str, str]) -> dict[str, str]:
    """Add the arm's name to every label that several arms have."""
    count = Counter(labels.values())
    return {arm: label if count[label] == 1 else f"{label} ({arm})" for arm, label in labels.items()}


def categories(results: Results) -> list[str]:
    """Return the categories in the order of the report: `all` comes first, unless there is only one category.

    Raises:
        DepError: there are no rows.
    """
    if not results.get("rows"):
        raise DepError("results.json: expected `rows`, found none; run `dep report` after `dep evaluate`")
    names = list(dict.fromkeys(str(row["category"]) for row in results["rows"]))
    single = [name for name in names if name != ALL]
    return single if len(single) == 1 else [*([ALL] if ALL in names else []), *single]


def main_table(results: Results, category: str) -> Table:
    """Build the table of one category from each arm's mean over its seeds, or from its only seed.

    Raises:
        DepError: an arm has several seeds, but no row (with seed null) holds their mean.
    """
    groups: dict[tuple[str, str], dict[int | None, Mapping[str, Any]]] = {}
    for row in results["rows"]:
        if row["category"] == category:
            groups.setdefault((row["arm"], row["metric"]), {})[row["seed"]] = row
    chosen: dict[tuple[str, str], tuple[Mapping[str, Any], tuple[float, ...]]] = {}
    for (arm, metric), by_seed in groups.items():
        single = tuple(row["value"] for seed, row in by_seed.items() if seed is not None)
        if None not in by_seed and len(single) > 1:
            raise DepError(
                f"results.json: {arm}, {category}, {metric} has {len(single)} seeds but no row of their mean "
                "(seed null); make it again with `dep report`"
            )
        row = by_seed.get(None) or next(iter(by_seed.values()))
        chosen[arm, metric] = (row, single if len(single) > 1 else ())
    metrics = [name for name in metrics_of(results) if any(metric == name for _, metric in chosen)]
    best = {
        name: number(name, best_of(name, (row["value"] for (_, metric), (row, _) in chosen.items() if metric == name)))
        for name in metrics
    }
    cells = {
        (arm, metric): Cell(
            row["value"], row["ci_low"], row["ci_high"], row["n"], seeds, number(metric, row["value"]) == best[metric]
        )
        for (arm, metric), (row, seeds) in chosen.items()
    }
    arms = list(dict.fromkeys(arm for arm, _ in cells))
    return Table(category, arms, metrics, cells, arm_labels(results))


def spread(cell: Cell, metric: str) -> str:
    """Format the value of each seed and their mean for a tooltip; return an empty text if there is only one seed."""
    if not cell.seeds:
        return ""
    values = ", ".join(number(metric, value) for value in cell.seeds)
    return f"{len(cell.seeds)} seeds: {values} (mean {number(metric, fmean(cell.seeds))})"
