"""Preflight checks: finds packages and devices that a configuration needs and this machine lacks."""

from __future__ import annotations

from collections.abc import Collection

from dep.config.schema import ConfigError, RunConfig
from dep.utils.optional_deps import NEEDS, missing_package


def check(config: RunConfig, parts: Collection[str]) -> None:
    """Raise an error for a configuration that would otherwise fail after hours of work.

    Args:
        config: the configuration of an arm.
        parts: the sections of the configuration that pending stages read (`backbone`, `train`, `generate`).

    Raises:
        ConfigError: a package or device is missing; the message names the setting, and a value that needs neither.
    """
    for setting in dict.fromkeys(setting for setting, _ in NEEDS):
        part, name = setting.split(".")
        if part in parts and (message := missing_package(setting, getattr(getattr(config, part), name))):
            raise ConfigError(message)
    if "train" in parts and config.backbone.attn_implementation == "flex_attention":
        import torch

        if not torch.cuda.is_available():
            raise ConfigError(
                "backbone.attn_implementation=flex_attention: expected a CUDA device to train on, found none; set "
                "backbone.attn_implementation=auto"
            )
