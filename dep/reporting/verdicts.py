"""Puts the paired comparisons of a category into words.

A verdict on the difference between `a` and `b` in one metric is one of:

    better, worse          the 95% interval excludes 0, and p < 0.05 before and after Holm's correction
    … uncorrected          the same, but p >= 0.05 after Holm's correction, so that chance may explain the difference
    no difference shown    otherwise; this does not mean that there is no difference
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dep.evaluation.metrics import metric_class
from dep.evaluation.significance import holm
from dep.reporting.tables import Results, metrics_of

LEVEL = 0.05
_ORDER = ("better", "worse", "better, uncorrected", "worse, uncorrected", "no difference shown")


@dataclass(frozen=True)
class Verdict:
    """The comparison of two arms in one metric."""

    a: str
    """Name of the first arm."""
    b: str
    """Name of the second arm."""
    metric: str
    delta: float
    """The difference a − b in the metric's unit."""
    low: float
    high: float
    p: float
    holm: float
    """The p-value after Holm's correction."""
    n: int
    """Number of test reviews."""

    @property
    def tone(self) -> Literal["better", "worse", "maybe", "none"]:
        """The CSS class that gives the verdict its colour."""
        if not (self.p < LEVEL and self.low * self.high > 0):
            return "none"
        if self.holm >= LEVEL:
            return "maybe"
        return self._direction

    @property
    def _direction(self) -> Literal["better", "worse"]:
        return "better" if (self.delta > 0) == metric_class(self.metric).higher_is_better else "worse"

    @property
    def text(self) -> str:
        """The verdict on arm `a` in words."""
        words = {"none": "no difference shown", "maybe": f"{self._direction}, uncorrected"}
        return words.get(self.tone, self._direction)


def verdicts(results: Results, category: str) -> dict[tuple[str, str], list[Verdict]]:
    """Return the comparisons in one category for each pair of arms, in the order of the metrics.

    Holm's correction is applied to all pairs in one metric. It is not applied across metrics: metrics of the same texts
    are correlated, and p-values cannot be smaller than the number of resamples allows, so that no difference could stay
    significant among so many tests.
    """
    pairs: dict[tuple[str, str], list[Verdict]] = {}
    for metric in metrics_of(results):
        rows = [row for row in results.get("comparisons", []) if (row["category"], row["metric"]) == (category, metric)]
        for row, corrected in zip(rows, holm([row["p"] for row in rows]), strict=True):
            interval = (row["delta"], row["ci_low"], row["ci_high"])
            verdict = Verdict(row["a"], row["b"], metric, *interval, row["p"], corrected, row["n"])
            pairs.setdefault((row["a"], row["b"]), []).append(verdict)
    return pairs


def in_words(pair_verdicts: list[Verdict]) -> str:
    """Summarise the verdicts on one pair, as in `better on NLL and BLEU; no difference shown on METEOR`."""
    clauses = []
    for text in dict.fromkeys(sorted((v.text for v in pair_verdicts), key=_ORDER.index)):
        names = [metric_class(v.metric).label for v in pair_verdicts if v.text == text]
        listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
        if len(names) == len(pair_verdicts) > 2:
            listed = "any metric" if text.startswith("no") else "every metric"
        clauses.append(f"{text.replace(', uncorrected', ' before correction')} on {listed}")
    return "; ".join(clauses)
