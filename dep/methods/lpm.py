"""LPM (Amballa et al., 2026), in which latent slots of the user become soft tokens that depend on the request."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.settings import PromptConfig
from dep.methods.dep import DEP
from dep.models.settings import SoftPromptConfig
from dep.utils.registry import ComponentConfig


class LPM(DEP):
    """The run's prompt with LPM's soft tokens for the whole past; the settings are in `soft_prompt.lpm`.

    Only the paper's abstract could be read. `LPMAdapter` says what is taken from it and what is not.
    """

    kind = "lpm"
    label = "LPM"
    role = "other"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """This method has no settings."""

        kind: Literal["lpm"] = "lpm"

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Keep the run's past reviews, and set `soft_prompt.lpm.tokens` soft tokens for the user."""
        return (
            replace(prompt, reads_user_history=True, user_tokens=soft.lpm.tokens),
            replace(soft, adapter="lpm", branches=["user"]),
        )
