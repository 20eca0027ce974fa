"""DEP: the user's own vectors and their differences from peers, as soft tokens of a frozen LLM (Section 3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.settings import PromptConfig
from dep.methods.base import Method, Role
from dep.models.settings import SoftPromptConfig
from dep.utils.registry import ComponentConfig


class DEP(Method):
    """The run's prompt, with soft tokens of the adapter `dep`."""

    kind = "dep"
    label = "DEP"
    role: Role = "own"
    trains = True

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Nothing to set."""

        kind: Literal["dep"] = "dep"

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Set the adapter."""
        return prompt, replace(soft, adapter="dep")
