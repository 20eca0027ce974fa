from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from rich.console import Console

from dep import cli
from dep.config.loader import load_arms
from experiments.sweep import SPACE, best_value, sweep

ROOT = SPACE.parents[1]


@pytest.fixture
def space() -> dict[str, Any]:
    return OmegaConf.to_container(OmegaConf.load(SPACE))  # type: ignore[return-value]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Replace `dep train` by a function whose validation NLL is the distance of the learning rate from 0.03."""
    calls: list[list[str]] = []

    def main(words: list[str]) -> int:
        calls.append(words)
        overrides = dict(word.split("=", 1) for word in words if "=" in word)
        folder = Path(overrides["runs"]) / overrides["name"] / "dep/seed0"
        folder.mkdir(parents=True)
        value = abs(float(overrides["train.muon_lr"]) - 0.03)
        (folder / "metrics.csv").write_text(f"epoch,step,val_nll\n0,1,\n0,2,{value + 1}\n1,4,{value}\n")
        return 0

    monkeypatch.setattr(cli, "main", main)
    return calls


def test_every_parameter_of_the_search_space_is_a_configuration_key(space: dict[str, Any]) -> None:
    values = {name: p["values"][0] if "values" in p else p["min"] for name, p in space["parameters"].items()}
    _, arms = load_arms([ROOT / "conf/synthetic.yaml"], ["arms=[dep]", *(f"{k}={v}" for k, v in values.items())])
    assert arms["dep"].train.muon_lr == values["train.muon_lr"]


def test_a_second_call_continues_until_the_number_of_trials_is_reached(
    tmp_path: Path, space: dict[str, Any], trained: list[list[str]]
) -> None:
    quiet = Console(quiet=True)
    sweep(space, tmp_path, 3, [], quiet)
    assert len(trained) == 3
    study = sweep(space, tmp_path, 5, [], quiet)
    assert len(trained) == 5
    assert study.best_value == min(t.value for t in study.trials)
    sweep(space, tmp_path, 5, [], quiet)
    assert len(trained) == 5
    assert all("train" in words and "arms=[dep]" in words for words in trained)


def test_a_failed_trial_does_not_count_and_is_tried_again(
    tmp_path: Path, space: dict[str, Any], trained: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    working_main = cli.main
    monkeypatch.setattr(cli, "main", lambda words: 2)
    with pytest.raises(ValueError, match="no trial"):
        sweep(space, tmp_path, 1, [], Console(quiet=True))
    monkeypatch.setattr(cli, "main", working_main)
    assert len([t for t in sweep(space, tmp_path, 1, [], Console(quiet=True)).trials if t.value is not None]) == 1


def test_the_score_is_the_best_epoch_averaged_over_seeds(tmp_path: Path) -> None:
    for seed, values in enumerate(((3.0, 1.0), (2.0, 4.0))):
        (tmp_path / f"seed{seed}").mkdir()
        rows = "".join(f"{step},{value}\n" for step, value in enumerate(values))
        (tmp_path / f"seed{seed}/metrics.csv").write_text(f"step,val_nll\n{rows}")
    assert best_value(tmp_path, "val_nll", "minimize") == 1.5
