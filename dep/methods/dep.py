"""DEP: the user's own vectors and their differences from peers, as soft tokens for a frozen LLM (Section 3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.settings import PromptConfig
from dep.methods.base import Method, Role
from dep.models.settings import SoftPromptConfig
from dep.utils.registry import ComponentConfig


class DEP(Method):
    """The run's prompt and soft prompt, with DEP's adapter."""

    kind = "dep"
    label = "DEP"
    role: Role = "own"
    trains = True

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Nothing to set."""

        kind: Literal["dep"] = "dep"

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Keep the run's prompt; soft tokens come from DEP's adapter."""
        return prompt, replace(soft, adapter="dep")
