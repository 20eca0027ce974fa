"""The calibration of an adapter at the output: what it changes, where it is kept, and its errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from dep.config.loader import load_arms
from dep.pipeline.arm import Arm
from dep.pipeline.builders import build_data, build_module
from dep.pipeline.jobs import jobs
from dep.pipeline.resources import Resources
from dep.pipeline.stages.calibrate import calibrate
from dep.pipeline.stages.train import train
from dep.pipeline.store import ArmStore
from dep.utils.atomic_io import read_json
from dep.utils.errors import DepError

CONF = Path(__file__).resolve().parents[3] / "conf"


def prepared(folder: Path, *words: str) -> tuple[Resources, Arm]:
    """A run of one arm on a small world, which calibrates after one short epoch."""
    run, configs = load_arms(
        [CONF / "synthetic.yaml"],
        [
            "source.users=16", "source.circles=2", "source.items_per_circle=12", "compare=[]", "name=small",
            "arms=[dep_memory_notext]", "train.calibrate=true", "train.max_examples=8", "protocol.val_examples=6",
            "train.epochs=2", "train.warm_start_epochs=1", "train.progress=false", "train.monitor=val_nll",
            "wandb=disabled", f"cache={folder / 'cache'}", f"runs={folder / 'runs'}", *words,
        ],
    )  # fmt: skip
    resources = Resources(run, Console(quiet=True))
    (arm,) = resources.arms(configs, [0])
    return resources, arm


def test_recall_alone_changes_and_the_trained_adapter_stays_in_the_cache(tmp_path: Path) -> None:
    resources, arm = prepared(tmp_path)
    train(resources, arm)
    before = load_file(ArmStore(arm.uncalibrated).adapter_home / "adapter.safetensors")
    after = load_file(arm.folder / "adapter.safetensors")
    moved = {name.split(".")[-1] for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved == {"his_scale", "his_none", "his_gate"}
    found = read_json(arm.folder / "calibration.json")
    assert found["reviews"] == 6
    assert found["after"] < found["before"]
    assert found["share_after"] != found["share_before"]
    assert read_json(arm.folder / "adapter_config.json")["config"]["train"]["calibrate"] is True


def test_an_adapter_that_is_trained_is_only_calibrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resources, arm = prepared(tmp_path)
    train(resources, arm.uncalibrated)
    assert [job.train for job in jobs([arm])] == ["fitted"]
    monkeypatch.setattr("dep.training.trainer.Train.fit", None)
    train(resources, arm)
    assert [job.train for job in jobs([arm])] == ["done"]
    assert not jobs([arm])[0].trains
    ArmStore(arm).forget(["train"])
    assert not ArmStore(arm.uncalibrated).adapter_is_cached


def test_an_arm_that_cannot_calibrate_ignores_the_setting(tmp_path: Path) -> None:
    _, arm = prepared(tmp_path, "arms=[constant]")
    assert not arm.calibrates
    _, plain = prepared(tmp_path, "arms=[constant]", "train.calibrate=null")
    assert ArmStore(arm).adapter_home == ArmStore(plain).adapter_home


def test_the_warm_start_of_an_arm_that_calibrates_does_not(tmp_path: Path) -> None:
    _, arm = prepared(tmp_path)
    assert arm.calibrates
    assert arm.warm_start is not None
    assert not arm.warm_start.calibrates


def test_without_validation_examples_the_error_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources, arm = prepared(tmp_path)
    data = build_data(resources, arm)
    monkeypatch.setattr(data, "val_dataloader", list)
    with pytest.raises(DepError, match=r"train\.calibrate.*protocol\.val_users"):
        calibrate(build_module(resources, arm, data), data)
