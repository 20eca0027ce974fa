from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pytest

from experiments.paper.claims import ordered, rising, spreads, summary, unique_gain_more
from experiments.paper.varied import by_value


def compared(delta: float, low: float, high: float, p: float, metric: str = "nll") -> dict[str, Any]:
    return {
        "a": "A", "b": "B", "category": "all", "metric": metric, "delta": delta, "ci_low": low, "ci_high": high,
        "p": p, "n": 9,
    }  # fmt: skip


def valued(arm: str, seed: int | None, value: float, metric: str = "nll") -> dict[str, Any]:
    return {"arm": arm, "label": f"The {arm}", "seed": seed, "value": value, "category": "all", "metric": metric}


def varied(base: str, label: str, values: Iterable[int]) -> dict[str, Any]:
    """Return the field `arms` of results that vary the history; the labels do not name the length."""
    return {
        f"{base}@history={k}": {
            "label": "A label", "role": "own", "varied": {"prompt.history": k}, "base": base, "base_label": label,
        }
        for k in values
    }  # fmt: skip


def test_lines_follow_the_varied_settings_and_two_arms_with_one_label_give_two_lines() -> None:
    arms = varied("dep", "DEP", (1, 2)) | varied("twin", "DEP", (1, 2))
    arms["fixed"] = {"label": "X, history=3", "role": "own", "varied": {}, "base": "fixed", "base_label": "X"}
    assert by_value({"arms": arms}) == {
        "dep@history=1": ("DEP (dep)", 1), "dep@history=2": ("DEP (dep)", 2),
        "twin@history=1": ("DEP (twin)", 1), "twin@history=2": ("DEP (twin)", 2),
    }  # fmt: skip


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


def test_a_difference_that_is_significant_only_before_correction_is_not_shown() -> None:
    rows = [compared(-0.2, -0.3, -0.1, 0.03) | {"b": f"B{n}"} for n in range(3)]
    assert {c.outcome for c in ordered({"comparisons": rows, "rows": []})} == {"not shown"}


def test_the_claim_of_figure_2_follows_the_direction_of_the_values_over_k() -> None:
    falling = [valued(f"dep@history={k}", 0, 1 - k / 10) for k in range(4)]
    growing = [valued(f"rag@history={k}", 0, 1 + k / 10) for k in range(4)]
    arms = varied("dep", "DEP", range(4)) | varied("rag", "RAG", range(4))
    outcomes = {c.text.split()[0]: c.outcome for c in rising({"rows": falling + growing, "arms": arms})}
    assert outcomes == {"DEP": "holds", "RAG": "opposite"}, "NLL: lower is better"


def test_the_claim_of_figure_3_holds_if_the_upper_half_of_users_gains_more() -> None:
    rank = {f"u{n}": n / 39 for n in range(40)}
    gains = {"up": {u: r + 0.01 for u, r in rank.items()}, "flat": dict.fromkeys(rank, 0.5)}
    assert [c.outcome for c in unique_gain_more(gains, rank, "nll")] == ["holds", "not shown"]


def test_the_spread_over_seeds_is_that_of_the_paired_differences() -> None:
    rows = [valued(m, seed, v) for m, values in (("A", (1.0, 1.2)), ("B", (1.0, 1.1))) for seed, v in enumerate(values)]
    (spread,) = spreads({"rows": rows, "comparisons": [compared(0.05, 0.01, 0.09, 0.01)]})
    assert spread.seeds == pytest.approx(0.1 / math.sqrt(2))
    assert spread.users == pytest.approx(0.08 / 3.92)
    assert spread.count == 2
    assert spread.pair == "The A − The B"


def test_the_summary_counts_outcomes() -> None:
    rows = [compared(-0.2, -0.3, -0.1, 0.001), compared(0.2, 0.1, 0.3, 0.001) | {"b": "C"}]
    text = summary(ordered({"comparisons": rows, "rows": []}))
    assert text == "1 of 2 claims hold, for 1 the opposite holds, and 0 are not shown (NLL ↓)"
