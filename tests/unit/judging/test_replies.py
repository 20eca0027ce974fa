"""How replies are read, and rank correlations against values computed by hand."""

from __future__ import annotations

import pytest

from dep.evaluation.rank_correlation import rank_correlation
from dep.judging.llm_questions import read_pair, read_score


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("Alike.\nScore: 7", 7.0), ("**Score:** 6.5/10.", 6.5), ("8", 8.0), ("10/10", 10.0), ("Score: 0", 0.0),
        ("Score: 11", None), ("Score: -3", None), ("Score: 7-8", None), ("It is 7 of 10, I think.", None), ("", None),
        (None, None),
    ],
)  # fmt: skip
def test_only_a_number_from_0_to_10_is_a_score(reply: str | None, score: float | None) -> None:
    assert read_score(reply) == score


def test_only_a_named_candidate_or_a_tie_is_a_preference() -> None:
    assert [read_pair(f"Because.\nBetter: {x}") for x in ("A", "**B**", "tie", "neither")] == [1.0, 0.0, 0.5, None]
    assert read_pair(None) is None


def test_the_rank_correlation_is_spearmans_with_mean_ranks_of_equal_values() -> None:
    found = rank_correlation([1, 2, 3, 4, 5], [5, 6, 7, 8, 7], list("abcde"), 200)
    assert found is not None
    assert found.value == pytest.approx(0.8207827)
    assert found.low <= found.value <= found.high
    assert rank_correlation([1, 1, 1], [1, 2, 3], list("abc"), 10) is None
