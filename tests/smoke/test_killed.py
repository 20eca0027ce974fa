"""A run that is killed without a chance to tidy up ends, when called again, in the bytes of one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORDS = [
    "source.users=16", "source.circles=2", "source.items_per_circle=12", "protocol.targets_used=1",
    "protocol.test_examples=9", "protocol.val_examples=4", "evaluate.n_boot=40", "generate.max_new_tokens=24",
    "seeds=[0]", "wandb=disabled", "threads=1", "jobs=2", "arms=[rag,dep_notext,dep,shuffled]", "compare=[dep - rag]",
]  # fmt: skip


def files(folder: Path) -> dict[str, bytes]:
    kept = ("results.json", "predictions.jsonl", "scores.jsonl", "adapter.safetensors")
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted((folder / "runs").rglob("*")) if p.name in kept}


def start(folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "dep.cli", "run", str(ROOT / "conf/arms.yaml"), *WORDS]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


MOMENTS = ("cache/vectors/*/*/shard-*", "cache/adapters/*/adapter.safetensors", "runs/arms/*/seed0/predictions.jsonl")
"""The run is killed as soon as a file like this is there: while it embeds, trains, and generates."""


def kill_when_there_is(pattern: str, folder: Path) -> None:
    """Start the run and kill it at its first new file like `pattern`."""
    known = set(folder.glob(pattern))
    run = start(folder)
    while not set(folder.glob(pattern)) - known:
        assert run.poll() is None, f"the run ended before there was a new {pattern}"
        time.sleep(0.01)
    run.kill()
    assert run.wait() == -signal.SIGKILL


def test_killed_while_it_embeds_trains_and_generates_it_ends_in_the_same_bytes(tmp_path: Path) -> None:
    assert start(tmp_path / "whole").wait(600) == 0
    for pattern in MOMENTS:
        kill_when_there_is(pattern, tmp_path / "killed")
    last = start(tmp_path / "killed")
    _, message = last.communicate(timeout=600)
    assert last.returncode == 0, message.decode()
    assert "runs/arms/results.json" in files(tmp_path / "whole")
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
