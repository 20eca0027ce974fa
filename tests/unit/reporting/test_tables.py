"""Tests of the main table and the verdicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dep.reporting.tables import categories, main_table
from dep.reporting.verdicts import in_words, verdicts
from dep.utils.errors import DepError

Make = Callable[..., dict[str, Any]]
Results = dict[str, Any]


def test_a_table_shows_the_mean_over_seeds(results: Results) -> None:
    table = main_table(results, "all")
    cell = table.cells["dep", "rouge1"]
    assert cell.value == pytest.approx(0.3 * 1.18)
    assert cell.seeds == pytest.approx((0.354, 0.355))
    assert table.cells["rag", "rouge1"].seeds == ()


def test_the_best_value_is_the_highest_but_the_lowest_for_nll(
    results: Results, labels: dict[str, str], metrics: list[str]
) -> None:
    table = main_table(results, "Books")
    assert {key for key, cell in table.cells.items() if cell.best} == {("dep", metric) for metric in metrics}
    assert table.cells["dep", "nll"].value == min(table.cells[arm, "nll"].value for arm in labels)


def test_several_seeds_without_their_mean_are_refused(row: Make) -> None:
    rows = [row("dep", "all", "nll", 0.5, 0), row("dep", "all", "nll", 0.6, 1)]
    with pytest.raises(ValueError, match="seed null"):
        main_table({"rows": rows}, "all")


def test_a_single_category_is_not_shown_twice(row: Make, results: Results) -> None:
    rows = [row("dep", category, "nll", 0.5, 0) for category in ("Books", "all")]
    assert categories({"rows": rows}) == ["Books"]
    assert categories(results) == ["all", "Books", "Digital_Music"]


def test_verdicts_use_the_direction_of_the_metric_and_holms_correction_over_its_pairs(results: Results) -> None:
    result = verdicts(results, "Books")["dep", "rag"]
    assert {v.metric: v.text for v in result} == {
        "rouge1": "better",
        "rougeL": "worse",
        "meteor": "no difference shown",
        "bleu": "better, uncorrected",
        "nll": "better",
    }
    assert [v.holm for v in result] == pytest.approx([0.001, 0.001, 0.8, 0.06, 0.001])
    assert in_words(result) == (
        "better on ROUGE-1 and NLL; worse on ROUGE-L; better before correction on BLEU; no difference shown on METEOR"
    )
    one = {"comparisons": [pair for pair in results["comparisons"] if pair["b"] == "rag"]}
    assert {v.metric: v.text for v in verdicts(one, "Books")["dep", "rag"]}["bleu"] == "better"


def test_equal_verdicts_on_all_metrics_are_summarised(comparison: Make) -> None:
    rows = [comparison(metric, 0.02, 0.01, 0.001) for metric in ("rouge1", "rougeL", "meteor")]
    assert in_words(verdicts({"comparisons": rows}, "all")["dep", "rag"]) == "better on every metric"


def test_a_small_p_without_an_interval_that_excludes_zero_is_no_verdict(comparison: Make) -> None:
    (result,) = verdicts({"comparisons": [comparison("meteor", 0.01, 0.02, 0.001)]}, "all").values()
    assert result[0].text == "no difference shown"


def test_an_unknown_metric_is_refused(row: Make) -> None:
    with pytest.raises(DepError, match="metric 'novelty'"):
        main_table({"rows": [row("dep", "all", "novelty", 0.5, 0)]}, "all")
