"""Tests of the other systems of Table 1 on a very small world, from the data to the report."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dep import cli

CONF = Path(__file__).resolve().parents[2] / "conf"
ARMS = [
    "rag", "pag", "dpl", "pplug", "user_llm", "user_llm_cross", "user_llm_lora", "lora", "untrained", "e2p", "lpm",
    "style_vector",
]  # fmt: skip
SMALL = [
    "source.users=16", "source.circles=2", "source.items_per_circle=12", "protocol.targets_used=1", "train.epochs=1",
    "train.warm_start_epochs=0", "protocol.test_examples=6", "protocol.val_examples=4", "evaluate.n_boot=40",
    "generate.max_new_tokens=12", "profile.max_new_tokens=12", "generate.progress=false", "train.progress=false",
    "seeds=[0]", "threads=0", "wandb=disabled", "compare=[]", "soft_prompt.user_llm.pretrain_epochs=2",
    f"arms=[{','.join(ARMS)}]", "evaluate.metrics.names=[rouge1]",
    "embedder={kind: style, dim: 8}",
]  # fmt: skip


def run(folder: Path, *overrides: str) -> int:
    with contextlib.chdir(folder):
        return cli.main(["run", str(CONF / "table1.yaml"), *SMALL, *overrides])


@pytest.fixture(scope="module")
def finished(made_once: Callable[..., Path]) -> Path:
    def fill(folder: Path) -> None:
        assert run(folder) == 0

    return made_once("table1", fill)


def rows(folder: Path, arm: str) -> list[dict]:
    lines = (folder / "runs/table1" / arm / "seed0/predictions.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_predictions_contain_the_questions_and_answers_behind_a_profile(finished: Path) -> None:
    for arm, questions in (("pag", 1), ("dpl", 3)):
        for row in rows(finished, arm):
            assert len(row["steps"]) == questions
            assert all(step["text"] and step["prompt_tokens"] > 20 for step in row["steps"])
            assert not any(row["reference"] in step["prompt"] for step in row["steps"])
    assert "steps" not in rows(finished, "rag")[0]
    assert rows(finished, "pag")[0]["prompt_tokens"] > rows(finished, "rag")[0]["prompt_tokens"]


def test_the_run_and_its_report_have_the_costs_of_each_system(finished: Path) -> None:
    costs = json.loads((finished / "runs/table1/run.json").read_text())["costs"]
    assert costs["rag"]["calls"] == 1
    assert costs["dpl"]["calls"] == 4
    assert not costs["untrained"]["trains"]
    assert costs["user_llm"]["trainable"] > 0
    assert costs["user_llm"]["prompt_tokens"] < costs["rag"]["prompt_tokens"]
    assert costs["pag"]["gflops"] > costs["rag"]["gflops"] > costs["pplug"]["gflops"]
    assert all(row["user_bytes"] > 0 for row in costs.values())
    assert "What each method costs" in (finished / "runs/table1/report.html").read_text()


def test_arms_that_share_a_user_encoder_pretrain_it_once(finished: Path) -> None:
    (encoder,) = (finished / "cache/encoders").iterdir()
    metrics = json.loads((encoder / "metrics.json").read_text())
    assert metrics["events"] > 0
    assert 0 < metrics["item"] < 10


def test_a_second_call_and_a_run_with_another_name_compute_nothing_again(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dep.inference.generator import Generate
    from dep.methods.profiles.writer import BackboneWriter
    from dep.training.trainer import Train

    def refuse(*_, **__) -> None:
        raise AssertionError("this work was done before")

    before = (finished / "runs/table1/results.json").read_bytes()
    monkeypatch.setattr(Train, "fit", refuse)
    monkeypatch.setattr(Generate, "__call__", refuse)
    monkeypatch.setattr("dep.pipeline.stages.train.pretrain", refuse)
    monkeypatch.setattr(BackboneWriter, "__call__", refuse)
    assert run(finished) == 0
    assert (finished / "runs/table1/results.json").read_bytes() == before
    assert run(finished, "name=other") == 0
    costs = [json.loads((finished / "runs" / name / "run.json").read_text())["costs"] for name in ("table1", "other")]
    assert costs[0] == costs[1]
