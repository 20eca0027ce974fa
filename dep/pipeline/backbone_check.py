"""Checks before any work, from its configuration file alone, that a backbone fits a run's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from dep.config.schema import RunConfig
from dep.inference.capabilities import architecture_capabilities, refuse_unusable
from dep.models.backbones.cost import architecture
from dep.models.backbones.geometry import position_limit, rotary_limit
from dep.pipeline.arm import Arm
from dep.utils.errors import DepError


def check_backbones(configs: Mapping[str, RunConfig]) -> list[str]:
    """Raise an error for an architecture that cannot be used, or for prompts that exceed a model's learned positions.

    Args:
        configs: the configuration of each arm by its name.

    Returns:
        A warning for each backbone whose rotary positions the longest row of some arm exceeds.

    Raises:
        DepError: a backbone does not fit; the message names the setting and a value that works.
        FileNotFoundError: a backbone's configuration file is not on this machine.
    """
    beyond: dict[str, tuple[int, str]] = {}
    for name, config in configs.items():
        shape, backbone = architecture(config.backbone), config.backbone.name_or_path
        refuse_unusable(shape, backbone)
        known, limit = architecture_capabilities(shape), position_limit(shape)
        longest = _longest(name, config)
        if known is not None and known.hard_positions:
            if limit is not None and longest.tokens > limit:
                raise _refusal(backbone, longest, limit)
        elif (trained := rotary_limit(shape)) is not None and longest.tokens > trained:
            beyond[backbone] = max(
                beyond.get(backbone, (0, "")), (longest.tokens, _warning(backbone, longest, trained))
            )
    return [warning for _, warning in beyond.values()]


class _Longest(NamedTuple):
    """The longest row that an arm may build: the prompt's tokens, and those of the longest text behind it."""

    prompt: int
    setting: str
    written: dict[str, int]
    """Tokens by setting, of every text that may stand behind a prompt."""

    @property
    def tokens(self) -> int:
        return self.prompt + self.written[self.setting]

    @property
    def shown(self) -> str:
        return f"prompt.max_input_tokens={self.prompt} and {self.setting}={self.written[self.setting]}"

    def fitting(self, limit: int) -> str:
        """Settings that fit into `limit` positions."""
        output = min(self.written[self.setting], limit // 4)
        settings = " ".join(f"{key}={output}" for key, value in self.written.items() if value > output)
        return f"prompt.max_input_tokens={min(self.prompt, limit - output)} {settings}".strip()


def _longest(name: str, config: RunConfig) -> _Longest:
    arm = Arm(name, config, 0, "")
    prompt = arm.configured[0]
    written = {"prompt.max_target_tokens": prompt.max_target_tokens}
    if config.evaluate.texts or config.train.monitor == "val_meteor":
        written["generate.max_new_tokens"] = config.generate.max_new_tokens
    if arm.method.profiles and config.profile.writer == "backbone":
        written["profile.max_new_tokens"] = config.profile.max_new_tokens
    return _Longest(prompt.max_input_tokens, max(written, key=lambda key: written[key]), written)


def _refusal(backbone: str, longest: _Longest, limit: int) -> DepError:
    return DepError(
        f"backbone.name_or_path={backbone}",
        f"at most {limit:,} tokens, the model's learned positions",
        longest.shown,
        f"set {longest.fitting(limit)}",
    )


def _warning(backbone: str, longest: _Longest, limit: int) -> str:
    return (
        f"backbone.name_or_path={backbone}: {longest.shown} allow {longest.tokens:,} tokens, but the model's rotary "
        f"positions are trained up to {limit:,}, and it may write badly beyond; set {longest.fitting(limit)}, or give "
        "config.json a rope scaling that reaches further"
    )
