from __future__ import annotations

import math
from typing import Any

import pytest

from experiments.paper.claims import ordered, rising, spreads, summary, unique_gain_more


def compared(delta: float, low: float, high: float, p: float, metric: str = "nll") -> dict[str, Any]:
    return {
        "a": "A", "b": "B", "category": "all", "metric": metric, "delta": delta, "ci_low": low, "ci_high": high,
        "p": p, "n": 9,
    }  # fmt: skip


def valued(method: str, seed: int | None, value: float, metric: str = "nll") -> dict[str, Any]:
    return {"method": method, "seed": seed, "value": value, "category": "all", "metric": metric}


@pytest.mark.parametrize(
    ("row", "outcome"),
    [
        (compared(-0.2, -0.3, -0.1, 0.001), "holds"),
        (compared(0.2, 0.1, 0.3, 0.001), "opposite"),
        (compared(-0.2, -0.5, 0.1, 0.2), "not shown"),
        (compared(0.2, 0.1, 0.3, 0.001, "meteor"), "holds"),
    ],
)
def test_a_comparison_claims_that_the_first_is_better(row: dict[str, Any], outcome: str) -> None:
    assert [c.outcome for c in ordered({"comparisons": [row], "rows": []})] == [outcome]


def test_what_only_an_uncorrected_p_shows_is_not_shown() -> None:
    rows = [compared(-0.2, -0.3, -0.1, 0.03) | {"b": f"B{n}"} for n in range(3)]
    assert {c.outcome for c in ordered({"comparisons": rows, "rows": []})} == {"not shown"}


def test_more_past_reviews_are_better_where_the_values_follow_k() -> None:
    falling = [valued(f"DEP, history={k}", 0, 1 - k / 10) for k in range(4)]
    growing = [valued(f"RAG, history={k}", 0, 1 + k / 10) for k in range(4)]
    found = {c.text.split()[0]: c.outcome for c in rising({"rows": falling + growing})}
    assert found == {"DEP": "holds", "RAG": "opposite"}, "NLL: lower is better"


def test_unique_users_gain_more_where_the_upper_half_does() -> None:
    rank = {f"u{n}": n / 39 for n in range(40)}
    gains = {"up": {u: r + 0.01 for u, r in rank.items()}, "flat": dict.fromkeys(rank, 0.5)}
    assert [c.outcome for c in unique_gain_more(gains, rank, "nll")] == ["holds", "not shown"]


def test_seeds_spread_as_their_paired_differences_do() -> None:
    rows = [valued(m, seed, v) for m, values in (("A", (1.0, 1.2)), ("B", (1.0, 1.1))) for seed, v in enumerate(values)]
    (found,) = spreads({"rows": rows, "comparisons": [compared(0.05, 0.01, 0.09, 0.01)]})
    assert found.seeds == pytest.approx(0.1 / math.sqrt(2))
    assert found.users == pytest.approx(0.08 / 3.92)
    assert found.count == 2


def test_the_summary_counts_outcomes() -> None:
    rows = [compared(-0.2, -0.3, -0.1, 0.001), compared(0.2, 0.1, 0.3, 0.001) | {"b": "C"}]
    assert summary(ordered({"comparisons": rows, "rows": []})).startswith("1 of 2 hold, 1 turn out the other way")
