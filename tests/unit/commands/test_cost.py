"""`dep cost`: the printed numbers match what is loaded and trained."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from dep import cli
from dep.commands.cost import short
from dep.config.loader import load_arms
from dep.pipeline.arm import Arm
from dep.pipeline.builders import build_data, build_module
from dep.pipeline.resources import Resources
from dep.pipeline.workload import trained_parameters

CONF = Path(__file__).resolve().parents[3] / "conf"
SMALL = [
    "source.users=20", "source.circles=2", "source.items_per_circle=12", "compare=[]", "embedder={kind: style, dim: 8}",
]  # fmt: skip
ARMS = "arms=[constant,dep,dep_ae,dep_none,pplug,user_llm,user_llm_cross]"


def test_a_number_has_three_digits_and_a_letter() -> None:
    assert [short(n) for n in (7.6156e9, 30_400_000, 999, 0)] == ["7.62G", "30.4M", "999", "0"]


def test_the_counted_parameters_are_those_of_the_built_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run, configs = load_arms([CONF / "table1.yaml"], [*SMALL, ARMS])
    resources = Resources(run, Console(quiet=True))
    for name, config in configs.items():
        arm = Arm(name, config, 0, "")
        built, *_ = build_module(resources, arm, build_data(resources, arm)).sizes()
        assert trained_parameters(arm) == built, name


def test_every_arm_has_a_line_without_reviews_or_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cost", str(CONF / "paper.yaml")]) == 0
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert lines["dep"][1] == "30.4M", "as the paper says"
    assert lines["rag"][1] == "-"
    assert "7.62G parameters" in " ".join(" ".join(line) for line in lines.values())
