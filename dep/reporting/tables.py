"""From `results.json` to the main table of each category, and how its numbers are printed."""

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
    """One arm's value of one metric.

    `seeds` has the values of the single seeds where there are several; `best` is true of every arm that prints
    the same as the best one.
    """

    value: float
    low: float
    high: float
    n: int
    seeds: tuple[float, ...]
    best: bool


@dataclass(frozen=True)
class Table:
    """Arms by metrics of one category; a cell is missing where an arm lacks a metric."""

    category: str
    arms: list[str]
    """Names, in the order of the results."""
    metrics: list[str]
    cells: dict[tuple[str, str], Cell]
    """By arm name and metric."""
    labels: dict[str, str]
    """What is shown of each arm."""

    @property
    def n(self) -> int:
        """Test reviews behind a cell (the largest number, should they differ)."""
        return max(cell.n for cell in self.cells.values())

    def seeds(self, arm: str) -> int:
        """How many seeds an arm's values are the mean of; 0 where there is one seed."""
        return max(len(cell.seeds) for (name, _), cell in self.cells.items() if name == arm)


def title(metric: str) -> str:
    """A metric's label with the direction that is good."""
    kind = metric_class(metric)
    return f"{kind.label} {'↑' if kind.higher_is_better else '↓'}"


def number(metric: str, value: float) -> str:
    """A value with the decimals of its metric."""
    return f"{value:.{metric_class(metric).decimals}f}".replace("-", "−")


def signed(metric: str, value: float) -> str:
    """A difference, with its sign and one decimal more than values have (four are enough)."""
    return f"{value:+.{min(4, metric_class(metric).decimals + 1)}f}".replace("-", "−")


def best_of(metric: str, values: Iterable[float]) -> float:
    """The best of some values of a metric."""
    return (max if metric_class(metric).higher_is_better else min)(values)


def metrics_of(results: Results) -> list[str]:
    """Every metric of some results, in the order of tables.

    A metric of the user's own is imported from where `results["metrics"]` says that its class is.

    Raises:
        DepError: a metric is not known.
    """
    for target in (results.get("metrics") or {}).values():
        load_metric(target)
    return ordered(row["metric"] for name in ("rows", "comparisons") for row in results.get(name) or ())


def arm_labels(results: Results) -> dict[str, str]:
    """What is shown of each arm: its label, with its name beside it where another arm has the same label."""
    labels: dict[str, str] = {}
    for row in results.get("rows") or ():
        labels.setdefault(row["arm"], str(row.get("label") or row["arm"]))
    return distinct(labels)


def distinct(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels by arm name, with the name beside a label that several arms have."""
    often = Counter(labels.values())
    return {arm: label if often[label] == 1 else f"{label} ({arm})" for arm, label in labels.items()}


def categories(results: Results) -> list[str]:
    """Categories in the order shown: everything pooled first, unless there is only one to pool.

    Raises:
        ValueError: there are no rows.
    """
    if not results.get("rows"):
        raise DepError("results.json: expected `rows`, found none; run `dep report` after `dep evaluate`")
    names = list(dict.fromkeys(str(row["category"]) for row in results["rows"]))
    single = [name for name in names if name != ALL]
    return single if len(single) == 1 else [*([ALL] if ALL in names else []), *single]


def main_table(results: Results, category: str) -> Table:
    """Every arm's values in one category: the mean over its seeds, or its only seed.

    Raises:
        ValueError: an arm has several seeds and no row with their mean (seed null).
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
    """The values of the single seeds, for a tooltip; empty where there is one seed."""
    if not cell.seeds:
        return ""
    values = ", ".join(number(metric, value) for value in cell.seeds)
    return f"{len(cell.seeds)} seeds: {values} (mean {number(metric, fmean(cell.seeds))})"
