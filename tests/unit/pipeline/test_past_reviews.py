"""Counts of the past reviews that prompts keep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from dep import cli
from dep.config.loader import load_arms
from dep.pipeline.builders import build_data
from dep.pipeline.past_reviews import PastReviews
from dep.pipeline.resources import Resources

CONF = Path(__file__).resolve().parents[3] / "conf"


def test_past_reviews_are_counted_and_a_request_without_any_is_warned_of() -> None:
    rows = [{"asked": 8, "kept": 8}, {"asked": 3, "kept": 0}, {"asked": 0, "kept": 0}]
    counts = PastReviews.of(rows)
    assert str(counts) == "past reviews: 11 asked for, 8 kept"
    assert counts.warning("RAG").startswith("RAG: 1 of 2 requests with past reviews keep none")
    assert PastReviews.of(rows[:1]).warning("RAG") == ""


def test_an_adapter_of_an_earlier_version_has_no_counts(tmp_path: Path) -> None:
    assert PastReviews.of_training(tmp_path) is None
    (tmp_path / "training.json").write_text('{"seconds": 3.0}')
    assert PastReviews.of_training(tmp_path) is None


def test_a_run_reports_the_past_reviews_of_training_prompts_beside_those_of_test_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = [
        "source.users=16", "source.circles=2", "source.items_per_circle=12", "protocol.targets_used=2",
        "protocol.test_examples=4", "protocol.val_examples=2", "evaluate.texts=false", "threads=0", "wandb=disabled",
        "train.progress=false", "train.epochs=1", "train.warm_start_epochs=0", "evaluate.n_boot=20", "compare=[]",
        "prompt.history=4", "prompt.max_input_tokens=330", "prompt.max_review_tokens=null", "arms=[rag,dep]",
        "embedder={kind: style, dim: 8}",
    ]  # fmt: skip
    assert cli.main(["run", str(CONF / "demo.yaml"), *settings]) == 0
    printed = capsys.readouterr().out

    run, configs = load_arms([CONF / "demo.yaml"], settings)
    resources = Resources(run, Console(quiet=True))
    data = build_data(resources, resources.arms(configs, [0])[1])
    requests = data.requests("train")
    tokenizer = resources.tokenizer(configs["dep"])
    texts = [tokenizer.decode(prompt.ids) for prompt in data.prompts(requests)]
    blocks = [sum(f"[Review {number}]" in text for number in range(1, 5)) for text in texts]
    asked = sum(min(4, len(example.profile)) for example in requests.examples)
    assert 0 < sum(blocks) < asked, "some did not fit"

    results = json.loads((tmp_path / "runs/demo/results.json").read_text())
    costs = json.loads((tmp_path / "runs/demo/run.json").read_text())["costs"]
    counts = results["arms"]["dep"]["training_past_reviews"]
    assert counts == costs["dep"]["training_past_reviews"]
    assert (counts["asked"], counts["kept"]) == (asked, sum(blocks))
    assert counts["requests"] == len(texts)
    assert "training_past_reviews" not in results["arms"]["rag"]
    test = costs["dep"]["past_reviews"]
    assert test["asked"] == 16, "four test requests"
    line = next(line for line in printed.splitlines() if line.startswith("generate DEP"))
    assert line.endswith(
        f"past reviews: {test['asked']} asked for, {test['kept']} kept; in training: {asked} asked for, "
        f"{sum(blocks)} kept"
    )
    assert next(line for line in printed.splitlines() if line.startswith("generate RAG")).endswith(" kept")
