"""Tests of parallel arms, failing arms, and the runs that Weights & Biases receives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dep.pipeline import jobs

Run = Callable[..., int]


def test_parallel_arms_give_the_bytes_of_sequential_arms_and_the_error_names_one_that_failed(
    finished: Path,
    tmp_path: Path,
    run: Run,
    outputs: Callable[[Path], dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    blocked = tmp_path / "runs/arms/rag/seed0"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file in place of the folder")
    ignored = shutil.ignore_patterns("adapters", "predictions", "scores")
    shutil.copytree(finished / "cache", tmp_path / "cache", ignore=ignored)
    monkeypatch.setattr(jobs, "_cores", lambda: 2)
    arms = ("arms=[rag,non_perso,dep,shuffled]", "compare=[]", "threads=1", "evaluate.metrics.names=[meteor]")
    threads = torch.get_num_threads()
    try:
        assert run(tmp_path, "run", *arms) == 2
    finally:
        torch.set_num_threads(threads)
    printed = capfd.readouterr()
    assert "4 arms, 2 in parallel" in printed.out
    assert "1 of 4 arms failed" in printed.err
    assert "rag, seed 0" in printed.err
    sequential, parallel = outputs(finished), outputs(tmp_path)
    scores = [path for path in parallel if path.endswith("scores.jsonl")]
    assert len(scores) == 3
    for path in scores:  # those of the finished run have all metrics
        rows, whole = (list(map(json.loads, made[path].splitlines())) for made in (parallel, sequential))
        assert all(row.items() <= full.items() for row, full in zip(rows, whole, strict=True))
    made = parallel.keys() - scores
    assert len(made) == 5, "three arms' predictions, two arms' adapters"
    assert all(parallel[path] == sequential[path] for path in made)


def test_every_arm_is_a_wandb_run_with_its_losses_scores_and_texts(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    style = ["embedder={kind: style, dim: 8}"]
    started, logged = [], []
    true_init = wandb.init

    def init(**options: object) -> object:
        wandb_run = true_init(**(options | {"mode": "disabled"}))
        started.append((options, wandb_run))
        monkeypatch.setattr(wandb_run, "log", lambda row, *_, **__: logged.append(row))
        return wandb_run

    monkeypatch.setattr(wandb, "init", init)
    assert run(tmp_path, "run", "wandb=offline", "arms=[dep]", "compare=[]", "prompt.history=2", *style) == 0
    (first, _), (training, _), (scoring, scored) = started
    assert (first["group"], first["tags"]) == ("arms", ["dep_notext", "dep"]), "the warm start"
    assert first["id"] != training["id"] == scoring["id"], "training and scores are in one run"
    assert (training["group"], training["mode"], training["tags"]) == ("arms", "offline", ["dep", "dep"])
    assert training["config"]["prompt"]["history"] == 2  # type: ignore[index]
    names = {name for row in logged for name in row}
    expected = {"train_lm", "train_recon", "train_sparse", "train_mean_activation", "train_dead_units", "lr", "val_nll"}
    assert expected | {"tokens_per_second", "generations"} <= names
    assert {"test_nll", "test_bleu", "test_meteor"} <= set(scored.summary.keys())
