"""Tests that finished work is reused, and that interrupted or repeated work gives the same bytes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dep.pipeline.resources
import dep.pipeline.stages.evaluate
from dep.inference.generator import Generate
from dep.training.trainer import Train

Run = Callable[..., int]
Outputs = Callable[[Path], dict[str, bytes]]


def refuse(*_: object, **__: object) -> None:
    """Stand in for work that must not be done again."""
    raise AssertionError("this work was done before")


def test_an_arm_with_texts_starts_from_the_adapter_of_the_arm_without_texts(
    finished: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ignored = shutil.ignore_patterns("adapters", "predictions", "scores")
    shutil.copytree(finished / "cache", tmp_path / "cache", ignore=ignored)
    folders: list[Path] = []
    fit = Train.fit

    def watched(self: Any, module: Any, data: Any, folder: Path, *rest: Any) -> Path:
        folders.append(folder)
        return fit(self, module, data, folder, *rest)

    monkeypatch.setattr(Train, "fit", watched)
    assert run(tmp_path, "train", "arms=[dep,dep_notext]", "compare=[]") == 0
    assert len(folders) == 2
    made = {}
    for name in ("dep", "dep_notext"):
        again, first = (folder / "runs/arms" / name / "seed0/adapter.safetensors" for folder in (tmp_path, finished))
        made[name] = again.read_bytes()
        assert made[name] == first.read_bytes()
    assert made["dep"] != made["dep_notext"]


def test_a_warm_start_that_leaves_no_epoch_for_the_texts_is_refused(
    finished: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(finished, "train", "arms=[dep]", "compare=[]", "name=none", "train.epochs=1") != 0
    assert "train.warm_start_epochs: expected fewer than train.epochs = 1" in " ".join(capsys.readouterr().err.split())


def test_a_second_call_trains_generates_and_scores_nothing(
    finished: Path, run: Run, outputs: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = outputs(finished)
    facts = json.loads((finished / "runs/arms/run.json").read_text())
    monkeypatch.setattr(Train, "fit", refuse)
    monkeypatch.setattr(Generate, "__call__", refuse)
    monkeypatch.setattr("dep.pipeline.stages.evaluate.score_examples", refuse)
    monkeypatch.setattr("dep.pipeline.summary.summarise", refuse)
    assert run(finished) == 0
    assert outputs(finished) == before
    assert json.loads((finished / "runs/arms/run.json").read_text()) == facts


@pytest.mark.parametrize("place", ["runs", "cache"])
def test_truncated_files_are_made_again(finished: Path, tmp_path: Path, run: Run, outputs: Outputs, place: str) -> None:
    """Predictions, scores and adapters are truncated in the run's folder, or in the cache that other runs share."""
    words = ("arms=[rag,dep_notext]", "compare=[dep_notext - rag]", "name=again")
    shutil.copytree(finished / "cache", tmp_path / "cache")
    assert run(tmp_path, "run", *words) == 0
    before = outputs(tmp_path)
    if place == "cache":
        shutil.rmtree(tmp_path / "runs")
    truncated = 0
    for name in ("predictions", "scores", "adapter"):
        for path in (tmp_path / place).rglob("*"):
            if path.suffix in (".jsonl", ".safetensors") and name in str(path.relative_to(tmp_path)):
                path.write_bytes(path.read_bytes()[:-100])
                truncated += 1
    assert truncated >= 3
    assert run(tmp_path, "run", *words) == 0
    assert outputs(tmp_path) == before


def test_fresh_trains_generates_and_scores_again_to_the_same_bytes(
    finished: Path, tmp_path: Path, run: Run, outputs: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fit, generate, score = Train.fit, Generate.__call__, dep.pipeline.stages.evaluate.score_examples

    def counted(name: str, function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            return function(*args, **kwargs)

        return call

    words = ("arms=[dep]", "compare=[]", "name=fresh")
    shutil.copytree(finished / "cache", tmp_path / "cache")
    assert run(tmp_path, "run", *words) == 0
    before = outputs(tmp_path)
    monkeypatch.setattr(Train, "fit", counted("fit", fit))
    monkeypatch.setattr(Generate, "__call__", counted("generate", generate))
    monkeypatch.setattr(dep.pipeline.stages.evaluate, "score_examples", counted("score", score))
    assert run(tmp_path, "run", "--fresh", *words) == 0
    assert calls == ["fit", "fit", "generate", "score"], "the warm start is trained again too"
    assert outputs(tmp_path) == before


def test_another_run_takes_equal_arms_from_the_cache(finished: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Train, "fit", refuse)
    monkeypatch.setattr(dep.pipeline.resources, "load_backbone", refuse)
    arms = ("arms=[rag,dep]", "compare=[dep - rag]", "name=other")
    for verb in ("train", "generate", "evaluate"):
        assert run(finished, verb, *arms) == 0
    for name in ("predictions.jsonl", "scores.jsonl", "adapter.safetensors"):
        first, second = (finished / "runs" / folder / "dep/seed0" / name for folder in ("arms", "other"))
        assert first.read_bytes() == second.read_bytes()
    monkeypatch.undo()
    assert run(finished, "report", *arms) == 0
    reused = json.loads((finished / "runs/other/run.json").read_text())["reused"]
    assert reused == {
        "arms": 2, "training_arms": 1, "adapters": 1, "taken_adapters": 1, "taken_predictions": 2, "taken_scores": 2,
        "vectors": 1,
    }  # fmt: skip
    assert "the reviews of 2 arms" in " ".join((finished / "runs/other/report.html").read_text().split())
    shutil.rmtree(finished / "runs/other")
    shared = json.loads((finished / "runs/arms/run.json").read_text())["reused"]
    assert (shared["training_arms"], shared["adapters"], shared["taken_adapters"]) == (8, 6, 0), "shuffled share DEP's"


def test_an_interrupted_run_continues_to_the_same_bytes(
    finished: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = Generate.texts
    calls = 0

    def interrupted(self: Generate, *args: object) -> list[str]:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return texts(self, *args)  # type: ignore[arg-type]

    shutil.copytree(finished / "cache", tmp_path / "cache", ignore=shutil.ignore_patterns("predictions", "scores"))
    arms = ("arms=[non_perso,dep]", "compare=[dep - non_perso]", "generate.batch_size=2")
    with monkeypatch.context() as patch:
        patch.setattr(Generate, "texts", interrupted)
        assert run(tmp_path, "run", *arms) == 130
    partial = tmp_path / "runs/arms/non_perso/seed0/predictions.partial.jsonl"
    assert len(partial.read_text().splitlines()) == 4, "the texts written before the interruption are kept"
    assert run(tmp_path, "run", *arms) == 0
    for name in ("predictions.jsonl", "scores.jsonl"):
        for arm in ("non_perso", "dep"):
            path = Path("runs/arms") / arm / "seed0" / name
            assert (tmp_path / path).read_bytes() == (finished / path).read_bytes(), path
