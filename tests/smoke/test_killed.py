"""Test that a run killed by SIGKILL gives, when it is called again, the bytes of an undisturbed run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[2]
WORDS = [
    "source.users=16", "source.circles=2", "source.items_per_circle=12", "protocol.targets_used=1",
    "protocol.test_examples=9", "protocol.val_examples=4", "evaluate.n_boot=40", "generate.max_new_tokens=24",
    "seeds=[0]", "wandb=disabled", "threads=1", "jobs=2", "arms=[rag,dep_notext,dep,shuffled]", "compare=[dep - rag]",
]  # fmt: skip


def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "dep.cli", "run", str(ROOT / "conf/arms.yaml"), *WORDS, *words]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


MOMENTS = ("cache/vectors/*/*/shard-*", "cache/adapters/*/adapter.safetensors", "runs/arms/*/seed0/predictions.jsonl")
"""Files whose first appearance triggers a kill: during embedding, training and generation."""


def kill_at(pattern: str, folder: Path, *words: str) -> None:
    """Start the run and kill it when its first new file matches `pattern`."""
    known = set(folder.glob(pattern))
    run = start(folder, *words)
    while not set(folder.glob(pattern)) - known:
        assert run.poll() is None, f"the run ended before there was a new {pattern}"
        time.sleep(0.01)
    run.kill()
    assert run.wait() == -signal.SIGKILL


def test_a_run_killed_during_embedding_training_and_generation_continues_to_the_same_bytes(
    tmp_path: Path, outputs: Callable[[Path], dict[str, bytes]]
) -> None:
    assert start(tmp_path / "whole").wait(600) == 0
    for pattern in MOMENTS:
        kill_at(pattern, tmp_path / "killed")
    last = start(tmp_path / "killed")
    _, message = last.communicate(timeout=600)
    assert last.returncode == 0, message.decode()
    assert "runs/arms/results.json" in outputs(tmp_path / "whole")
    assert outputs(tmp_path / "killed") == outputs(tmp_path / "whole")


def test_a_run_killed_while_it_keeps_beginnings_leaves_whole_files_and_continues_to_the_same_likelihoods(
    tmp_path: Path,
) -> None:
    words = (
        "arms=[rag]",
        "compare=[]",
        "prompt.slots=late",
        "backbone.keep_prefixes=true",
        "evaluate.texts=false",
        "jobs=1",
    )
    kept = "cache/prefixes/*/*/*.safetensors"

    def likelihoods(folder: Path) -> list[float]:
        files = sorted(folder.glob("runs/arms/*/seed0/predictions.jsonl"))
        assert len(files) == 1
        return [json.loads(line)["nll"] for file in files for line in file.read_text().splitlines()]

    kill_at(kept, tmp_path / "killed", *words)
    for file in (tmp_path / "killed").glob(kept):
        assert load_file(file)
    for name in ("whole", "killed"):
        run = start(tmp_path / name, *words)
        _, message = run.communicate(timeout=600)
        assert run.returncode == 0, message.decode()
    assert len(list((tmp_path / "killed").glob(kept))) == len(list((tmp_path / "whole").glob(kept)))
    assert likelihoods(tmp_path / "killed") == pytest.approx(likelihoods(tmp_path / "whole"), abs=1e-4)
