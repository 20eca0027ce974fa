"""Before any work: what a run asks for and this machine has not, and settings of an arm that contradict each other."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dep.arm import Arm
from dep.extras import NEEDS, absent
from dep.schema import ConfigError, RunConfig


def check(arms: Sequence[Arm], stages: Sequence[str]) -> None:
    """Refuse what could only fail after hours; arms that are finished need nothing.

    Args:
        arms: all of a run's.
        stages: that they will be taken through.

    Raises:
        ConfigError: names the setting, what is missing, and what does without it.
        ValueError: an arm's settings contradict each other.
    """
    for arm in arms:
        parts = {stage for stage in stages if stage in ("train", "generate") and not arm.finished(stage)}
        if "train" in parts:
            _ = arm.settings  # says where its epochs do not add up
        if parts:
            _check(arm.config, {"backbone", *parts})


def _check(config: RunConfig, parts: set[str]) -> None:
    for setting in dict.fromkeys(setting for setting, _ in NEEDS):
        part, name = setting.split(".")
        if part in parts and (said := absent(setting, getattr(getattr(config, part), name))):
            raise ConfigError(said)
    if "train" in parts and config.backbone.attn_implementation == "flex_attention" and not torch.cuda.is_available():
        raise ConfigError(
            "backbone.attn_implementation=flex_attention: expected a CUDA device to train on, found none; set "
            "backbone.attn_implementation=auto"
        )
