"""Tests of the points, table and figure of quality and cost by length of history."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from experiments.paper.cost import COLUMNS, cells, points
from experiments.paper.figures import _limits, cost

COSTS = {"prompt_tokens": 1234.0, "gflops": 0.5, "seconds": 0.0123, "kv_bytes": 4096.0}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    arms = {
        f"{label.lower()}@history={k}": {
            "label": label, "role": "own", "varied": {"prompt.history": k}, "base": label.lower(), "base_label": label,
        }
        for label in ("RAG", "DEP")
        for k in (16, 2)
    }  # fmt: skip
    rows = [
        {"arm": arm, "category": category, "metric": metric, "value": 0.5, "ci_low": 0.4, "ci_high": 0.6, "n": 9}
        for arm in [*arms, "non_perso"]
        for category in ("all", "Books")
        for metric in ("nll", "meteor", "bleu")
    ]
    (tmp_path / "results.json").write_text(json.dumps({"rows": rows, "arms": arms}))
    (tmp_path / "run.json").write_text(json.dumps({"costs": {arm: COSTS for arm in [*arms, "non_perso"]}}))
    return tmp_path


def test_points_are_sorted_by_method_and_length_and_have_their_costs(run: Path) -> None:
    result = points(run)
    assert [(p.method, p.history) for p in result] == [("DEP", 2), ("DEP", 16), ("RAG", 2), ("RAG", 16)]
    assert result[0].values == {"nll": (0.5, 0.4, 0.6), "meteor": (0.5, 0.4, 0.6)}
    assert dict(zip(COLUMNS[4:], cells(result[0])[4:], strict=True)) == {
        "prompt tokens": "1,234", "GFLOP": "0.50", "ms": "12", "KV cache, kB": "4",
    }  # fmt: skip


def test_the_figure_has_a_line_for_each_method_and_labels_its_ends(run: Path) -> None:
    figure = cost(points(run))
    for text in ("DEP", "RAG", "2<", "16<", "GFLOP"):
        assert f">{text}" in figure


def test_an_outlier_does_not_stretch_the_axis(run: Path) -> None:
    result = points(run)
    low, high = _limits([result[:2], result[2:]], "nll")
    outlier = result[1]._replace(values={"nll": (9.0, 8.0, 10.0), "meteor": (0.01, 0.0, 0.02)})
    assert _limits([[result[0], outlier], result[2:]], "nll") == (low, high)
    assert low < 0.4 < 0.6 < high
    assert len(re.findall(r">16<", cost([result[0], outlier, *result[2:]]))) == 4
