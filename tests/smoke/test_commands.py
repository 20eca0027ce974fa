"""Tests of the verbs other than `run`, of `--plan`, and of errors that a command prints as one line."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import dep.pipeline.resources
from dep import cli

Run = Callable[..., int]


def test_a_stage_without_its_predecessor_names_the_missing_stage(
    finished: Path, tmp_path: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    ignored = shutil.ignore_patterns("adapters", "predictions", "scores")
    shutil.copytree(finished / "cache", tmp_path / "cache", ignore=ignored)
    arms = ("arms=[dep]", "compare=[]", "name=staged")
    for verb, predecessor in (("generate", "train"), ("evaluate", "generate"), ("report", "evaluate")):
        assert run(tmp_path, verb, *arms) == 2
        assert f"dep {predecessor}" in capfd.readouterr().err


def test_the_probe_loads_no_language_model(finished: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dep.pipeline.resources, "load_backbone", lambda *_: pytest.fail("a language model was loaded"))
    assert run(finished, "probe", "protocol.test_examples=null") == 0
    result = json.loads((finished / "runs/arms/probe.json").read_text())
    assert {row["vectors"] for row in result["planted"]} == {"his", "diff", "both"}


def test_the_papers_configuration_without_its_data_ends_with_one_line(
    tmp_path: Path, conf: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with contextlib.chdir(tmp_path):
        assert cli.main(["run", str(conf / "paper.yaml")]) == 2
    message = capfd.readouterr().err.strip()
    assert len(message.splitlines()) == 1
    assert "SnowCharmQ/DPL-main" in message
    assert "folder" in message


def test_help_does_not_import_torch() -> None:
    code = (
        "import sys; from dep import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_plan_says_what_is_cached_and_what_is_to_do_and_writes_nothing(
    finished: Path, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    before = {path for path in finished.rglob("*") if path.is_file()}
    assert run(finished, "run", "--plan", "name=planned", "seeds=[0,1]") == 0
    printed = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    lines = {first: " ".join(rest) for first, *rest in printed}
    assert lines["dep"].startswith("0, 1 1 cached, 1 after dep_notext 1 cached, 1 to do")
    assert lines["shuffled"].startswith("0, 1 1 cached, 1 with dep 1 cached, 1 to do")
    assert lines["rag"].startswith("0, 1 - 1 cached, 1 to do")
    assert run(finished, "run", "--plan") == 0
    assert "this machine: 0" in capsys.readouterr().out
    assert {path for path in finished.rglob("*") if path.is_file()} == before


def test_the_plan_of_the_paper_needs_neither_its_model_nor_its_data(
    tmp_path: Path, conf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", str(conf / "paper.yaml"), "--plan"]) == 0
    plan = capsys.readouterr().out
    assert "80 GB, bf16" in plan
    assert "24 GB, NF4" in plan
    assert "Estimates, not measurements" in plan


def test_prepare_embed_and_diff_work_on_their_own(
    tmp_path: Path, run: Run, conf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("arms=[dep]", "compare=[]", "source.users=8")
    assert run(tmp_path, "prepare", *words) == 0
    assert list((tmp_path / "cache").glob("prepared-*/manifest.json"))
    assert not list((tmp_path / "cache").glob("vectors"))
    assert run(tmp_path, "embed", *words) == 0
    assert list((tmp_path / "cache" / "vectors").rglob("shard-*"))
    assert not (tmp_path / "cache" / "adapters").exists()
    assert cli.main(["diff", str(conf / "paper.yaml"), "official"]) == 0
    assert "difference.weighting" in capsys.readouterr().out
    assert cli.main(["diff", "paper"]) == 2
    assert "expected two configurations, found 1" in capsys.readouterr().err
