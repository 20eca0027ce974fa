"""From `results.json` to the main table of each category, and how its numbers are printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple

from dep.evaluation.metrics.base import LOWER_IS_BETTER, METRIC_NAMES
from dep.evaluation.scores import ALL

Results = Mapping[str, Any]


class MetricLabel(NamedTuple):
    """How a metric is called and printed."""

    title: str
    decimals: int
    unit: str


LABELS = {
    "rouge1": MetricLabel("ROUGE-1", 3, "0 to 1"),
    "rougeL": MetricLabel("ROUGE-L", 3, "0 to 1"),
    "meteor": MetricLabel("METEOR", 3, "0 to 1"),
    "bleu": MetricLabel("BLEU", 2, "0 to 100"),
    "bertscore": MetricLabel("BERTScore", 3, "0 to 1"),
    "nll": MetricLabel("NLL", 4, "nats a token, lower is better"),
}


@dataclass(frozen=True)
class Cell:
    """One method's value of one metric.

    `seeds` has the values of the single seeds where there are several; `best` is true of every method that prints
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
    """Methods by metrics of one category; a cell is missing where a method lacks a metric."""

    category: str
    methods: list[str]
    metrics: list[str]
    cells: dict[tuple[str, str], Cell]

    @property
    def n(self) -> int:
        """Test reviews behind a cell (the largest number, should they differ)."""
        return max(cell.n for cell in self.cells.values())

    def seeds(self, method: str) -> int:
        """How many seeds a method's values are the mean of; 0 where there is one seed."""
        return max(len(cell.seeds) for (name, _), cell in self.cells.items() if name == method)


def title(metric: str) -> str:
    """A metric's name with the direction that is good."""
    return f"{LABELS[metric].title} {'↓' if metric in LOWER_IS_BETTER else '↑'}"


def number(metric: str, value: float) -> str:
    """A value with the decimals of its metric."""
    return f"{value:.{LABELS[metric].decimals}f}".replace("-", "−")


def signed(metric: str, value: float) -> str:
    """A difference, with its sign and one decimal more than values have (four are enough)."""
    return f"{value:+.{min(4, LABELS[metric].decimals + 1)}f}".replace("-", "−")


def categories(results: Results) -> list[str]:
    """Categories in the order shown: everything pooled first, unless there is only one to pool.

    Raises:
        ValueError: there are no rows.
    """
    if not results.get("rows"):
        raise ValueError("results.json: expected `rows`, found none; run `dep report` after `dep evaluate`")
    names = list(dict.fromkeys(str(row["category"]) for row in results["rows"]))
    single = [name for name in names if name != ALL]
    return single if len(single) == 1 else [*([ALL] if ALL in names else []), *single]


def main_table(results: Results, category: str) -> Table:
    """Every method's values in one category: the mean over its seeds, or its only seed.

    Raises:
        ValueError: a method has several seeds and no row with their mean (seed null).
    """
    groups: dict[tuple[str, str], dict[int | None, Mapping[str, Any]]] = {}
    for row in results["rows"]:
        if row["category"] == category:
            groups.setdefault((row["method"], row["metric"]), {})[row["seed"]] = row
    chosen: dict[tuple[str, str], tuple[Mapping[str, Any], tuple[float, ...]]] = {}
    for (method, metric), by_seed in groups.items():
        single = tuple(row["value"] for seed, row in by_seed.items() if seed is not None)
        if None not in by_seed and len(single) > 1:
            raise ValueError(
                f"results.json: {method}, {category}, {metric} has {len(single)} seeds but no row of their mean "
                "(seed null); make it again with `dep report`"
            )
        row = by_seed.get(None) or next(iter(by_seed.values()))
        chosen[method, metric] = (row, single if len(single) > 1 else ())
    metrics = [name for name in METRIC_NAMES if any(metric == name for _, metric in chosen)]
    best = {
        name: number(
            name,
            (min if name in LOWER_IS_BETTER else max)(r["value"] for (_, m), (r, _) in chosen.items() if m == name),
        )
        for name in metrics
    }
    cells = {
        (method, metric): Cell(
            row["value"], row["ci_low"], row["ci_high"], row["n"], seeds, number(metric, row["value"]) == best[metric]
        )
        for (method, metric), (row, seeds) in chosen.items()
    }
    methods = list(dict.fromkeys(method for method, _ in cells))
    return Table(category, methods, metrics, cells)


def spread(cell: Cell, metric: str) -> str:
    """The values of the single seeds, for a tooltip; empty where there is one seed."""
    if not cell.seeds:
        return ""
    values = ", ".join(number(metric, value) for value in cell.seeds)
    return f"{len(cell.seeds)} seeds: {values} (mean {number(metric, fmean(cell.seeds))})"
