"""Every other system of Table 1 on a very small world, to the report, and again without work."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from dep import cli

CONF = Path(__file__).resolve().parents[2] / "conf"
ARMS = ["rag", "pag", "dpl", "pplug", "user_llm", "user_llm_cross", "user_llm_lora", "lora", "untrained"]
SMALL = [
    "source.users=16", "source.circles=2", "source.items_per_circle=12", "protocol.targets_used=1", "train.epochs=1",
    "train.warm_start_epochs=0", "protocol.test_examples=6", "protocol.val_examples=4", "evaluate.n_boot=40",
    "generate.max_new_tokens=12", "profile.max_new_tokens=12", "generate.progress=false", "train.progress=false",
    "seeds=[0]", "threads=0", "wandb=disabled", "compare=[]", "soft_prompt.user_llm.pretrain_epochs=2",
    f"arms=[{','.join(ARMS)}]", "evaluate.metrics.names=[rouge1]",
]  # fmt: skip


def run(folder: Path, *overrides: str) -> int:
    with contextlib.chdir(folder):
        return cli.main(["run", str(CONF / "table1.yaml"), *SMALL, *overrides])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table1")
    assert run(folder) == 0
    return folder


def rows(folder: Path, arm: str) -> list[dict]:
    lines = (folder / "runs/table1" / arm / "seed0/predictions.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_profiles_and_what_led_to_them_are_kept_beside_the_reviews(finished: Path) -> None:
    for arm, questions in (("pag", 1), ("dpl", 3)):
        for row in rows(finished, arm):
            assert len(row["steps"]) == questions
            assert all(step["text"] and step["prompt_tokens"] > 20 for step in row["steps"])
            assert not any(row["reference"] in step["prompt"] for step in row["steps"])
    assert "steps" not in rows(finished, "rag")[0]
    assert rows(finished, "pag")[0]["prompt_tokens"] > rows(finished, "rag")[0]["prompt_tokens"]


def test_the_report_says_what_each_system_was_given(finished: Path) -> None:
    found = json.loads((finished / "runs/table1/run.json").read_text())["costs"]
    assert found["rag"]["calls"] == 1
    assert found["dpl"]["calls"] == 4
    assert not found["untrained"]["trains"]
    assert found["user_llm"]["trainable"] > 0
    assert found["user_llm"]["prompt_tokens"] < found["rag"]["prompt_tokens"]
    assert found["pag"]["gflops"] > found["rag"]["gflops"] > found["pplug"]["gflops"]
    assert all(row["user_bytes"] > 0 for row in found.values())
    assert "What each method was given" in (finished / "runs/table1/report.html").read_text()


def test_a_user_encoder_is_pretrained_once_for_all_arms_that_share_it(finished: Path) -> None:
    (encoder,) = (finished / "cache/encoders").iterdir()
    metrics = json.loads((encoder / "metrics.json").read_text())
    assert metrics["events"] > 0
    assert 0 < metrics["item"] < 10


def test_a_second_call_does_nothing_and_another_name_takes_everything(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dep.inference.generator import Generate
    from dep.methods.profiles.writer import BackboneWriter
    from dep.training.trainer import Train

    def refuse(*_, **__) -> None:
        raise AssertionError("nothing should be done again")

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
