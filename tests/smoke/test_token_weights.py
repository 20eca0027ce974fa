"""`train.token_weights=history` on a very small world: computed once for all seeds and arms, and read in training."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

import dep.pipeline.stages.token_weights as stage
from dep import cli
from dep.training.trainer import Train
from dep.utils.errors import DepError

CONF = Path(__file__).resolve().parents[2] / "conf"
SMALL = [
    "source.users=16", "source.circles=2", "source.items_per_circle=12", "protocol.targets_used=1", "train.epochs=1",
    "train.warm_start_epochs=0", "generate.progress=false", "train.progress=false", "threads=0", "jobs=1",
    "wandb=disabled", "compare=[]", "seeds=[0]", "embedder={kind: style, dim: 8}",
]  # fmt: skip


def train(folder: Path, *overrides: str) -> int:
    with contextlib.chdir(folder):
        return cli.main(["train", str(CONF / "demo.yaml"), *SMALL, *overrides])


def test_every_training_prompt_has_weights_that_arms_and_seeds_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    computed: list[int] = []
    seen: list[list[tuple[int, list[float]]]] = []
    compute = stage._computed

    def fit(self: Train, module: Any, data: Any, *_: object) -> None:
        prompts = data.training_prompts()
        seen.append([(len(prompt.target), list(prompt.weights)) for prompt in (prompts[at] for at in range(5))])
        raise DepError("training", "no more than its prompts", "all of them", "this is a test")

    monkeypatch.setattr(stage, "_computed", lambda *args: (computed.append(1), compute(*args))[1])
    monkeypatch.setattr(Train, "fit", fit)
    for arm, seed in (("nextquill", 0), ("nextquill", 1), ("dep_weighted_notext", 0), ("lora", 0)):
        assert train(tmp_path, f"arms=[{arm}]", f"seeds=[{seed}]") == 2
    assert computed == [1]
    assert seen[0] == seen[1] == seen[2]
    assert all(not weights for _, weights in seen[3]), "other arms count tokens equally"
    for tokens, weights in seen[0]:
        assert len(weights) == tokens
        assert sum(weights) / tokens == pytest.approx(1.0, abs=1e-4)
        assert max(weights) / min(weights) == pytest.approx(9.0, rel=1e-3), "both limits occur in every review"
    assert "tokens likelier" in " ".join(capsys.readouterr().out.split())


def test_without_past_reviews_in_the_run_s_prompt_weights_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path, "arms=[nextquill]", "prompt.history=0") == 2
    assert "train.token_weights=history: expected prompt.history of 1 or more, found 0" in capsys.readouterr().err
