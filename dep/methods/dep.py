"""DEP, the paper's method (Section 3): vectors of a user's reviews and their differences become soft tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.settings import PromptConfig
from dep.methods.base import Method, Role
from dep.models.settings import SoftPromptConfig
from dep.utils.registry import ComponentConfig


class DEP(Method):
    """The paper's method: the run's prompt and soft prompt with DEP's adapter."""

    kind = "dep"
    label = "DEP"
    role: Role = "own"
    trains = True

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """This method has no settings."""

        kind: Literal["dep"] = "dep"

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Keep the run's prompt, and take the soft tokens from DEP's adapter."""
        return prompt, replace(soft, adapter="dep", constant_lr=None)  # of the control, which is no part of DEP's key
