"""Before any work: what a run asks for and this machine has not, and settings of an arm that contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import NamedTuple

import torch

from dep.arm import Arm
from dep.schema import ConfigError, RunConfig


class _Need(NamedTuple):
    """A value that stands on a package."""

    part: str
    name: str
    value: str
    package: str
    get: str
    """How to come by it."""
    instead: str
    """The value that does without."""


_ALONE = "it pins torch and transformers, so best into an environment of its own"
_NEEDS = [
    _Need("backbone", "quantization", "nf4", "bitsandbytes", "extra `quant`", "none"),
    _Need("backbone", "quantization", "int8", "bitsandbytes", "extra `quant`", "none"),
    _Need("backbone", "quantization", "fp8", "torchao", "extra `fp8`", "none"),
    _Need("backbone", "attn_implementation", "flash_attention_2", "flash_attn", "extra `gpu`", "auto"),
    _Need("train", "cross_entropy", "cut", "cut_cross_entropy", "extra `gpu`", "chunked"),
    _Need("generate", "engine", "vllm", "vllm", _ALONE, "hf"),
]


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
        todo = [stage for stage in stages if not arm.finished(stage)]
        if "train" in todo:
            _ = arm.settings  # says where its epochs do not add up
        parts = {"backbone"} if {"train", "generate"} & set(todo) else set()
        parts |= {stage for stage in ("train", "generate") if stage in todo}
        _check(arm.config, parts)


def _check(config: RunConfig, parts: set[str]) -> None:
    for need in _NEEDS:
        if need.part not in parts or getattr(getattr(config, need.part), need.name) != need.value:
            continue
        if find_spec(need.package) is None:
            key = f"{need.part}.{need.name}"
            raise ConfigError(
                f"{key}={need.value}: expected the package {need.package}, found none; install it ({need.get}), or set "
                f"{key}={need.instead}"
            )
    if "train" in parts and config.backbone.attn_implementation == "flex_attention" and not torch.cuda.is_available():
        raise ConfigError(
            "backbone.attn_implementation=flex_attention: expected a CUDA device to train on, found none; set "
            "backbone.attn_implementation=auto"
        )
