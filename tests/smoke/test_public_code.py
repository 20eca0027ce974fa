"""The choices of the authors' code, all at once, on a very small world."""

from __future__ import annotations

import contextlib
import csv
import json
import math
from pathlib import Path

from dep import cli
from dep.config.compare import differing
from dep.config.loader import load

CONF = Path(__file__).resolve().parents[2] / "conf"
SMALL = [
    "source.users=14", "source.circles=2", "source.items_per_circle=12", "protocol.targets_used=1",
    "protocol.test_examples=4", "protocol.val_examples=4", "evaluate.n_boot=40", "generate.max_new_tokens=8",
    "generate.progress=false", "train.progress=false", "seeds=[0]", "threads=0", "wandb=disabled", "compare=[]",
    "train.effective_batch=10", "train.micro_batch=2", "train.warm_start_epochs=0", "arms=[dep]",
    "embedder={kind: style, dim: 8}", "evaluate.metrics.names=[rouge1]",
]  # fmt: skip
ELSEWHERE = ("embedder", "evaluate")
"""Slots that the small world fills otherwise."""


def test_every_choice_of_the_authors_code_trains_and_generates_in_a_sweep_over_k(tmp_path: Path) -> None:
    pair = differing(load([CONF / "paper.yaml"]), load([CONF / "official.yaml"]))
    choices = [f"{key}={json.dumps(value)}" for key, _, value, _ in pair if key.split(".")[0] not in ELSEWHERE]
    assert len(choices) > 20
    others = ["prompt.max_input_tokens=330", "difference.profile=shown", "vary={prompt.history: [1, 3]}"]
    with contextlib.chdir(tmp_path):
        assert cli.main(["run", str(CONF / "arms.yaml"), *SMALL, *choices, *others]) == 0
    results = json.loads((tmp_path / "runs/arms/results.json").read_text())
    arms = {f"dep@history={k}" for k in (1, 3)}
    assert {row["arm"] for row in results["rows"]} == arms
    assert all(math.isfinite(row["value"]) for row in results["rows"])
    with (tmp_path / "runs/arms/dep@history=3/seed0/metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    losses = [float(row["train_recon"]) for row in rows if row["train_recon"]]
    assert losses
    assert all(loss > 0 for loss in losses)
