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
ARMS = ("rag", "dep_notext", "dep", "shuffled")
WORDS = (f"arms=[{','.join(ARMS)}]", "compare=[dep - rag]")
MOMENTS = (
    ("cache/vectors/*/*/shard-*", 1),
    ("cache/adapters/*/adapter.safetensors", 2),
    ("runs/arms/*/seed0/predictions.jsonl", 1),
)
"""Files whose first appearance triggers a kill, during embedding, training and generation; and how many arms run in
parallel then, each in a process that must die with its parent."""

Run = Callable[..., int]


def kill_at(pattern: str, folder: Path, *words: str) -> None:
    """Start the run in a process and kill it when its first new file matches `pattern`."""
    folder.mkdir(exist_ok=True)
    known = set(folder.glob(pattern))
    command = [sys.executable, "-m", "dep.cli", "run", str(ROOT / "conf/arms.yaml"), *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL) as run:
        while not set(folder.glob(pattern)) - known:
            assert run.poll() is None, f"the run ended before there was a new {pattern}"
            time.sleep(0.01)
        run.kill()
    assert run.returncode == -signal.SIGKILL


def test_a_run_killed_during_embedding_training_and_generation_continues_to_the_same_bytes(
    finished: Path, tmp_path: Path, small: list[str], run: Run, outputs: Callable[[Path], dict[str, bytes]]
) -> None:
    for pattern, jobs in MOMENTS:
        kill_at(pattern, tmp_path, *small, *WORDS, "threads=1", f"jobs={jobs}")
    assert run(tmp_path, "run", *WORDS) == 0
    whole, killed = ({Path(path): made for path, made in outputs(folder).items()} for folder in (finished, tmp_path))
    all_rows, rows = (json.loads(made.pop(Path("runs/arms/results.json")))["rows"] for made in (whole, killed))
    assert {row["arm"] for row in rows} == set(ARMS)
    assert all(row in all_rows for row in rows)
    assert killed == {path: made for path, made in whole.items() if path.parts[1] == "arms" and path.parts[2] in ARMS}


def test_a_run_killed_while_it_keeps_beginnings_leaves_whole_files_and_continues_to_the_same_likelihoods(
    tmp_path: Path, small: list[str], run: Run
) -> None:
    words = (
        "arms=[rag]", "compare=[]", "prompt.slots=late", "backbone.keep_prefixes=true", "evaluate.texts=false",
        "embedder={kind: style, dim: 8}",
    )  # fmt: skip
    kept = "cache/prefixes/*/*/*.safetensors"
    kill_at(kept, tmp_path / "killed", *small, *words, "jobs=1")
    for file in (tmp_path / "killed").glob(kept):
        assert load_file(file)
    (tmp_path / "whole").mkdir()
    likelihoods = []
    for name in ("whole", "killed"):
        assert run(tmp_path / name, "run", *words) == 0
        lines = (tmp_path / name / "runs/arms/rag/seed0/predictions.jsonl").read_text().splitlines()
        likelihoods.append([json.loads(line)["nll"] for line in lines])
    assert len(list((tmp_path / "killed").glob(kept))) == len(list((tmp_path / "whole").glob(kept)))
    assert likelihoods[1] == pytest.approx(likelihoods[0], abs=1e-4)
