"""Tests of `dep judge` on the folder of a trained adapter."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from dep import cli
from dep.inference.generator import Generate
from dep.utils.atomic_io import read_json, read_rows


def judge(finished: Path, arm: str) -> dict[str, Any]:
    """Judge an adapter of the run on the run itself, and return judge.json."""
    with contextlib.chdir(finished):
        assert cli.main(["judge", f"runs/arms/{arm}/seed0", "--run", "runs/arms"]) == 0
    return read_json(finished / f"runs/arms/judge/arms-{arm}-seed0/judge.json")


@pytest.fixture(scope="module")
def judged(finished: Path) -> dict[str, Any]:
    return judge(finished, "dep_notext")


def nll_of(found: dict[str, Any], arm: str) -> float:
    (value,) = [
        row["value"] for row in found["rows"] if (row["arm"], row["category"], row["metric"]) == (arm, "all", "nll")
    ]
    return float(value)


def test_an_adapter_answers_its_own_run_as_its_arm_did(finished: Path, judged: dict[str, Any]) -> None:
    (answers,) = (finished / "runs/arms/judge/arms-dep_notext-seed0/own").rglob("predictions.jsonl")
    arm = {row["key"]: row for row in read_rows(finished / "runs/arms/dep_notext/seed0/predictions.jsonl")}
    rows = read_rows(answers)
    assert [row["prediction"] for row in rows] == [arm[row["key"]]["prediction"] for row in rows]
    assert len(rows) == len(arm) == judged["run"]["requests"] == 9
    differences = [row["delta"] for row in judged["comparisons"] if row["b"] == "dep_notext"]
    assert differences == pytest.approx([0.0] * len(differences), abs=1e-5)


def test_an_adapter_is_also_judged_with_a_stranger_s_vectors(judged: dict[str, Any]) -> None:
    other = nll_of(judged, "judged_stranger")
    assert other == pytest.approx(nll_of(judged, "shuffled_notext"), abs=1e-5)
    assert other != pytest.approx(nll_of(judged, "judged"), abs=1e-5)
    assert judged["controls"] == {
        "non_perso": "non_perso", "rag": "rag", "constant": "constant_notext", "stranger": "shuffled_notext",
        "own": "dep_notext",
    }  # fmt: skip


def test_answers_are_kept_for_the_next_call(
    finished: Path, judged: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Generate, "__call__", lambda *_: pytest.fail("a request was answered again"))
    assert judge(finished, "dep_notext") == judged


def test_of_an_adapter_that_reads_no_user_no_use_of_the_past_is_claimed(finished: Path) -> None:
    found = judge(finished, "constant_notext")
    assert "judged_stranger" not in found["arms"]
    assert found["made_of"]["sentences"][-2] == "In sum: constant_notext/seed0 reads nothing of the user."


def test_a_folder_without_an_adapter_is_named(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.chdir(finished):
        assert cli.main(["judge", "runs/arms", "--run", "runs/arms"]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "runs/arms: expected adapter_config.json and adapter.safetensors, found a folder without them" in error
