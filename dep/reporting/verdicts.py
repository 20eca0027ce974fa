"""Paired comparisons of a category in words.

A verdict on a difference of `a` and `b` in one metric:

    better, worse    its 95% interval leaves out 0, p < 0.05, and p < 0.05 after Holm's correction as well
    … uncorrected    the same without the last: among this many pairs, chance could have made it
    no difference    neither; which does not say that there is none
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
    """One comparison in one metric; `a` and `b` are names of arms.

    `delta` is a − b in the metric's own unit, `holm` the corrected p.
    """

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
        """The class of its colour."""
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
        """The verdict on `a` in words."""
        words = {"none": "no difference shown", "maybe": f"{self._direction}, uncorrected"}
        return words.get(self.tone, self._direction)


def verdicts(results: Results, category: str) -> dict[tuple[str, str], list[Verdict]]:
    """The comparisons of one category by the pair's arm names, in the order of the metrics.

    The family of Holm's correction is every pair in one metric: metrics of the same texts are correlated, and
    with each counted as a test of its own the smallest p that the resamples can give would be too large.
    """
    pairs: dict[tuple[str, str], list[Verdict]] = {}
    for metric in metrics_of(results):
        rows = [row for row in results.get("comparisons", []) if (row["category"], row["metric"]) == (category, metric)]
        for row, corrected in zip(rows, holm([row["p"] for row in rows]), strict=True):
            interval = (row["delta"], row["ci_low"], row["ci_high"])
            verdict = Verdict(row["a"], row["b"], metric, *interval, row["p"], corrected, row["n"])
            pairs.setdefault((row["a"], row["b"]), []).append(verdict)
    return pairs


def in_words(of_pair: list[Verdict]) -> str:
    """Summary of the verdicts on one pair: `better on NLL and BLEU; no difference shown on METEOR`."""
    clauses = []
    for text in dict.fromkeys(sorted((v.text for v in of_pair), key=_ORDER.index)):
        names = [metric_class(v.metric).label for v in of_pair if v.text == text]
        listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
        if len(names) == len(of_pair) > 2:
            listed = "any metric" if text.startswith("no") else "every metric"
        clauses.append(f"{text.replace(', uncorrected', ' before correction')} on {listed}")
    return "; ".join(clauses)
