"""The alignment stage in a whole run: safe against interruptions, reported, and for both kinds of adapters."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dep.training.module import PersonalizationModule

WORDS = [
    "compare=[]", "source.users=8", "protocol.test_examples=3", "evaluate.texts=false", "train.align.epochs=2",
    "train.align.max_examples=16", "train.align.held_out=4", "projector={tokens: 2, start: words}",
    "soft_prompt.boundary_start=words", "prompt.max_target_tokens=24", "prompt.history=1", "train.epochs=1",
    "train.warm_start_epochs=0", "embedder={kind: style, dim: 8}",
]  # fmt: skip


def aligned(folder: Path) -> dict[str, bytes]:
    """The aligned adapters in the cache, by folder."""
    paths = sorted((folder / "cache/aligned").glob("*/adapter.safetensors"))
    return {path.parent.name: path.read_bytes() for path in paths}


def test_an_interrupted_alignment_continues_to_the_same_bytes_and_says_what_it_taught(
    tmp_path: Path, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    assert run(whole, "run", *WORDS, "arms=[dep_notext,dep_user_notext]") == 0
    assert capsys.readouterr().out.count("held-out reviews: right vector") == 4, "two arms with two tasks"
    made = aligned(whole)
    assert len(made) == 2
    for name in made:
        folder = whole / "cache/aligned" / name
        assert sorted(file.name for file in folder.iterdir()) == [
            "adapter.safetensors", "alignment.json", "metrics.csv",
        ]  # fmt: skip
        tasks = json.loads((folder / "alignment.json").read_text())["tasks"]
        assert set(tasks) == {"his", "diff"}
        for score in tasks.values():
            assert len({score["right"], score["absent"], score["another"]}) == 3
            assert score["gain"] == pytest.approx(score["another"] - score["right"])
            assert 2 <= score["reviews"] <= 4

    step, calls = PersonalizationModule.on_before_optimizer_step, []

    def interrupted(self: PersonalizationModule, optimizer: Any) -> None:
        calls.append(1)
        if len(calls) == 3:  # the first step of the second epoch
            raise KeyboardInterrupt
        step(self, optimizer)

    shutil.copytree(whole / "cache", cut / "cache", ignore=shutil.ignore_patterns("aligned", "adapters", "predictions"))
    with monkeypatch.context() as patch:
        patch.setattr(PersonalizationModule, "on_before_optimizer_step", interrupted)
        assert run(cut, "train", *WORDS, "arms=[dep_notext]") == 130
    assert not aligned(cut)
    assert len(list((cut / "cache/aligned").glob("*/checkpoints/last.ckpt"))) == 1
    assert run(cut, "train", *WORDS, "arms=[dep_notext]") == 0
    ((name, content),) = aligned(cut).items()
    assert made[name] == content
    place = "runs/arms/dep_notext/seed0"
    assert (whole / place / "adapter.safetensors").read_bytes() == (cut / place / "adapter.safetensors").read_bytes()
    reported = (json.loads((folder / place / "alignment.json").read_text())["tasks"] for folder in (whole, cut))
    assert next(reported) == next(reported)
