"""From `results.json` to what is shown of it: one main table and one list of verdicts a category.

A verdict on a difference of `a` and `b` in one metric:

    better, worse    its 95% interval leaves out 0, p < 0.05, and p < 0.05 after Holm's correction as well
    … uncorrected    the same without the last: among this many comparisons, chance could have made it
    no difference    neither; which does not say that there is none
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal, NamedTuple

from dep.eval.base import LOWER_IS_BETTER, METRIC_NAMES
from dep.eval.scores import ALL
from dep.eval.significance import holm

LEVEL = 0.05
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
    """One method's value of one metric; `seeds` has the values of the single seeds where there are several."""

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


@dataclass(frozen=True)
class Verdict:
    """One comparison in one metric. `delta` is a − b in the metric's own unit, `holm` the corrected p."""

    a: str
    b: str
    metric: str
    delta: float
    low: float
    high: float
    p: float
    holm: float
    n: int

    @property
    def tone(self) -> Literal["better", "worse", "maybe", "none"]:
        """What the colours say."""
        if not (self.p < LEVEL and self.low * self.high > 0):
            return "none"
        if self.holm >= LEVEL:
            return "maybe"
        return self._direction

    @property
    def _direction(self) -> Literal["better", "worse"]:
        return "better" if (self.delta < 0) == (self.metric in LOWER_IS_BETTER) else "worse"

    @property
    def text(self) -> str:
        """What the words say, of `a`."""
        words = {"none": "no difference shown", "maybe": f"{self._direction}, uncorrected"}
        return words.get(self.tone, self._direction)


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
    best = {
        metric: (min if metric in LOWER_IS_BETTER else max)(r["value"] for (_, m), (r, _) in chosen.items() if m == metric)
        for metric in {metric for _, metric in chosen}
    }
    cells = {
        (method, metric): Cell(
            row["value"], row["ci_low"], row["ci_high"], row["n"], seeds, row["value"] == best[metric]
        )
        for (method, metric), (row, seeds) in chosen.items()
    }
    methods = list(dict.fromkeys(method for method, _ in cells))
    return Table(category, methods, [m for m in METRIC_NAMES if m in best], cells)


def verdicts(results: Results, category: str) -> dict[tuple[str, str], list[Verdict]]:
    """The comparisons of one category by pair, p-values corrected over all of them."""
    rows = [row for row in results.get("comparisons", []) if row["category"] == category]
    order = {metric: place for place, metric in enumerate(METRIC_NAMES)}
    pairs: dict[tuple[str, str], list[Verdict]] = {}
    for row, corrected in zip(rows, holm([row["p"] for row in rows]), strict=True):
        interval = (row["delta"], row["ci_low"], row["ci_high"])
        verdict = Verdict(row["a"], row["b"], row["metric"], *interval, row["p"], corrected, row["n"])
        pairs.setdefault((row["a"], row["b"]), []).append(verdict)
    return {pair: sorted(found, key=lambda v: order[v.metric]) for pair, found in pairs.items()}


def in_words(found: list[Verdict]) -> str:
    """What the verdicts on one pair come to, in a clause: `better on NLL and BLEU; no difference shown on METEOR`."""
    clauses = []
    for phrase, tones in (("better on", ["better"]), ("worse on", ["worse"]), ("no clear difference on", ["maybe", "none"])):
        names = [LABELS[v.metric].title for v in found if v.tone in tones]
        if names:
            listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
            clauses.append(f"{phrase} {listed}")
    return "; ".join(clauses)


def spread(cell: Cell, metric: str) -> str:
    """The values of the single seeds, for a tooltip; empty where there is one seed."""
    if not cell.seeds:
        return ""
    values = ", ".join(number(metric, value) for value in cell.seeds)
    return f"{len(cell.seeds)} seeds: {values} (mean {number(metric, fmean(cell.seeds))})"
