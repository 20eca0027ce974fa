"""Checks before any work, from its configuration file alone, that a backbone fits a run's settings."""

from __future__ import annotations

from collections.abc import Mapping

from dep.config.schema import RunConfig
from dep.inference.capabilities import architecture_capabilities, refuse_unusable
from dep.models.backbones.cost import architecture
from dep.models.backbones.geometry import position_limit
from dep.pipeline.arm import Arm
from dep.utils.errors import DepError


def check_backbones(configs: Mapping[str, RunConfig]) -> None:
    """Raise an error for an architecture that cannot be used, or for prompts that exceed a model's learned positions.

    Args:
        configs: the configuration of each arm by its name.

    Raises:
        DepError: a backbone does not fit; the message names the setting and a value that works.
        FileNotFoundError: a backbone's configuration file is not on this machine.
    """
    for name, config in configs.items():
        shape = architecture(config.backbone)
        refuse_unusable(shape, config.backbone.name_or_path)
        known, limit = architecture_capabilities(shape), position_limit(shape)
        if known is not None and known.hard_positions and limit is not None:
            _check_positions(name, config, limit)


def _check_positions(name: str, config: RunConfig, limit: int) -> None:
    """Check that a model has enough positions for the longest prompt and text that a run may build."""
    arm = Arm(name, config, 0, "")
    prompt = arm.configured[0]
    written = {"prompt.max_target_tokens": prompt.max_target_tokens}
    if config.evaluate.texts or config.train.monitor == "val_meteor":
        written["generate.max_new_tokens"] = config.generate.max_new_tokens
    if arm.method.profiles and config.profile.writer == "backbone":
        written["profile.max_new_tokens"] = config.profile.max_new_tokens
    setting = max(written, key=lambda key: written[key])
    if prompt.max_input_tokens + written[setting] > limit:
        output = min(written[setting], limit // 4)
        settings = " ".join(f"{key}={output}" for key, value in written.items() if value > output)
        raise DepError(
            f"backbone.name_or_path={config.backbone.name_or_path}",
            f"at most {limit:,} tokens, the model's learned positions",
            f"prompt.max_input_tokens={prompt.max_input_tokens} and {setting}={written[setting]}",
            f"set prompt.max_input_tokens={min(prompt.max_input_tokens, limit - output)} {settings}".strip(),
        )
