"""Tests, on one set of real reviews, whether vectors carry enough of their user: a row for each part of the criterion.

The best of our arms has the lowest NLL on the validation users, so that the test users choose nothing. It is compared
with every control that knows nobody; where one control counts, it is the one with the lowest NLL on the test.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dep.evaluation.significance import Comparison, mean_interval, paired
from dep.reporting.tables import arm_labels
from dep.utils.atomic_io import read_rows
from experiments.paper.claims import HOLDS, OPEN, OPPOSITE
from experiments.validation import best_value

SHARE = 1 / 3
"""How much of what past reviews as text win over a stranger's must be won without text."""
CONSTANTS = ("constant", "memory_constant")
"""Arms that are trained as ours are and know no user: soft tokens, and a correction at the LLM's output."""
MOST = 8
"""The number of past reviews as text that counts for this; a smaller one where 8 were not measured."""


class Criterion(NamedTuple):
    """One part of the criterion."""

    text: str
    value: float
    """A difference in nats a token that is above 0 where the part holds."""
    low: float
    high: float
    counts: bool = True
    """Whether the criterion needs this part; other parts are shown beside it."""

    @property
    def outcome(self) -> str:
        """`holds` or `opposite` if the 95% interval excludes 0; else `not shown`."""
        return HOLDS if self.low > 0 else OPPOSITE if self.high < 0 else OPEN


def criteria(run: Path, strangers: Mapping[str, str]) -> list[Criterion]:
    """Return the parts of the criterion, as far as a finished run has their arms.

    Args:
        run: the folder of the run, with results.json, and headroom.json for the part that needs it.
        strangers: for each of our arms, its control with another user's vectors.
    """
    results = json.loads((run / "results.json").read_text("utf-8"))
    names, labels = set(results["arms"]), arm_labels(results)
    ours = {arm: control for arm, control in strangers.items() if {arm, control} <= names}
    found: list[Criterion] = []
    best = best_arm(run, [arm for arm in ours if arm.endswith("_notext")])
    if best and (constants := [f"{arm}_notext" for arm in CONSTANTS if f"{arm}_notext" in names]):
        label = labels[best]
        found += [_less(run, best, constant, f"{label} better than {labels[constant]}") for constant in constants]
        strongest = min(constants, key=lambda arm: _mean(run, arm))
        if share := _share(run, best, strongest, labels):
            found.append(share)
        found.append(_less(run, best, ours[best], f"{label} better than with another user's vectors"))
        for constant in constants:
            worse = f"with another user's vectors worse than {labels[constant]}"
            found.append(_less(run, constant, ours[best], worse)._replace(counts=constant == strongest))
    best = best_arm(run, [arm for arm in ours if not arm.endswith("_notext")])
    if best:
        for other in ("rag", *CONSTANTS):
            if other in names:
                found.append(_less(run, best, other, f"{labels[best]} better than {labels[other]}"))
    return found


def best_arm(run: Path, arms: Sequence[str]) -> str | None:
    """Return the arm with the lowest validation NLL, averaged over seeds; None if there is none to choose from."""
    return min(arms, key=lambda arm: best_value(run / arm, "val_nll", "minimize"), default=None)


def nll_by_request(run: Path, arm: str) -> tuple[dict[str, float], dict[str, str]]:
    """Return an arm's NLL of each request, averaged over seeds, and the user of each request, by the request's key."""
    tables = [{row["key"]: row for row in read_rows(path)} for path in sorted((run / arm).glob("seed*/scores.jsonl"))]
    values = {key: sum(table[key]["nll"] for table in tables) / len(tables) for key in tables[0]}
    return values, {key: str(row["user"]) for key, row in tables[0].items()}


def _less(run: Path, arm: str, other: str, text: str) -> Criterion:
    """How much lower the NLL of `arm` is than that of `other`."""
    (a, users), (b, _) = nll_by_request(run, arm), nll_by_request(run, other)
    compared: Comparison = paired([b[key] for key in a], list(a.values()), list(users.values()))
    return Criterion(text, compared.delta, compared.low, compared.high)


def _mean(run: Path, arm: str) -> float:
    values, _ = nll_by_request(run, arm)
    return sum(values.values()) / len(values)


def _share(run: Path, best: str, constant: str, labels: Mapping[str, str]) -> Criterion | None:
    """How much more `best` wins over a control that knows nobody than a share of what own reviews win over others'."""
    path = run / "headroom.json"
    if not path.is_file():
        return None
    headroom = json.loads(path.read_text("utf-8"))
    counts = [row["past_reviews"] for row in headroom["rows"] if row["stranger"] and row["past_reviews"] <= MOST]
    if not counts:
        return None
    count = max(counts)
    won = {
        row["key"]: row[f"rag_stranger@history={count}"] - row[f"rag@history={count}"] for row in headroom["requests"]
    }
    (ours, users), (control, _) = nll_by_request(run, best), nll_by_request(run, constant)
    keys = [key for key in ours if key in won]
    if not keys:
        return None
    more = [control[key] - ours[key] - SHARE * won[key] for key in keys]
    interval = mean_interval(more, [users[key] for key in keys])
    text = (
        f"{labels[best]}: gain over {labels[constant]} less a third of what {count} past reviews win over a stranger's"
    )
    return Criterion(text, interval.value, interval.low, interval.high)
