"""Tests of the public functions that run and read a run: `dep.run`, `dep.load_run` and `Run.predictions`."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

import dep
from dep.inference.generator import Generate
from dep.training.trainer import Train


def test_load_run_reads_the_numbers_and_the_report_of_a_finished_run(finished: Path) -> None:
    folder = finished / "runs/arms"
    run = dep.load_run(str(folder))
    results = json.loads((folder / "results.json").read_text())
    assert run.folder == folder
    assert (run.rows, run.comparisons) == (results["rows"], results["comparisons"])
    assert run.comparisons
    assert "DEP (w/o text)" in run.report.read_text()


def test_predictions_are_the_texts_and_likelihoods_of_one_arm_and_seed(finished: Path) -> None:
    run = dep.load_run(finished / "runs/arms")
    rows = run.predictions("dep")
    lines = (finished / "runs/arms/dep/seed0/predictions.jsonl").read_text().splitlines()
    assert rows == [json.loads(line) for line in lines] == run.predictions("dep", seed=0)
    assert len(rows) == 9
    mean = sum(row["nll"] for row in rows) / len(rows)
    (value,) = [
        row["value"] for row in run.rows if (row["arm"], row["category"], row["metric"]) == ("dep", "all", "nll")
    ]
    assert value == pytest.approx(mean)


@pytest.mark.parametrize(("arm", "seed"), [("nobody", 0), ("dep", 7)])
def test_the_error_for_a_missing_arm_or_seed_lists_the_arms(finished: Path, arm: str, seed: int) -> None:
    with pytest.raises(FileNotFoundError, match=rf"{arm}/seed{seed}.*its arms are .*dep.*rag") as error:
        dep.load_run(finished / "runs/arms").predictions(arm, seed)
    assert isinstance(error.value, dep.DepError)


def test_loading_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(dep.DepError, match=r"results\.json: expected the results of a run, found none; .*dep run"):
        dep.load_run(tmp_path)


def test_run_finishes_a_run_in_python_and_returns_its_results(
    finished: Path, conf: Path, small: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the arms are in the cache")

    monkeypatch.setattr(Train, "fit", refuse)
    monkeypatch.setattr(Generate, "__call__", refuse)
    words = ("arms=[rag,dep]", "compare=[dep - rag]", "name=from_python")
    with contextlib.chdir(finished):
        run = dep.run(conf / "arms.yaml", *small, *words)
        assert run == dep.load_run("runs/from_python")
        assert run.report.is_file()
        assert run.predictions("dep") == dep.load_run("runs/arms").predictions("dep")
    assert {row["arm"] for row in run.rows} == {"rag", "dep"}
    assert {(row["a"], row["b"]) for row in run.comparisons} == {("dep", "rag")}


def test_run_refuses_a_word_that_is_not_an_override(conf: Path) -> None:
    with pytest.raises(dep.DepError, match="'--fresh': expected key=value, found a word without ="):
        dep.run(conf / "arms.yaml", "--fresh")


def test_run_raises_the_error_of_a_wrong_key(tmp_path: Path, conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(dep.DepError, match="epoch"):
        dep.run(conf / "arms.yaml", "train.epoch=3")
    assert not list(tmp_path.iterdir())
