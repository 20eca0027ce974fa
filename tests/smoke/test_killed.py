"""A run that is killed at any moment, without a chance to tidy up, goes on to the bytes of one that was not."""

from __future__ import annotations

import os
import random
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


def test_killed_three_times_at_random_it_ends_in_the_same_bytes(tmp_path: Path) -> None:
    began = time.monotonic()
    whole = start(tmp_path / "whole")
    assert whole.wait(300) == 0
    took = time.monotonic() - began
    moments = sorted(random.Random(took).uniform(0.15, 0.9) * took for _ in range(3))
    for seconds in moments:
        killed = start(tmp_path / "killed")
        time.sleep(seconds)
        killed.kill()
        killed.wait()
    last = start(tmp_path / "killed")
    _, said = last.communicate(timeout=300)
    assert last.returncode == 0, said.decode()
    assert "runs/arms/results.json" in files(tmp_path / "whole")
    assert files(tmp_path / "killed") == files(tmp_path / "whole"), f"killed at {moments} of {took:.0f} s"
