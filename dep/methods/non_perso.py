"""Non-Perso, whose prompt holds the item, the rating and the title, and nothing about the user (Section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.settings import PromptConfig
from dep.methods.base import Method
from dep.models.settings import SoftPromptConfig
from dep.utils.registry import ComponentConfig


class NonPerso(Method):
    """The LLM with a prompt without history; nothing is trained."""

    kind = "non_perso"
    label = "Non-Perso"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """This method has no settings."""

        kind: Literal["non_perso"] = "non_perso"

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Remove past reviews and soft tokens from the run's prompt."""
        return replace(prompt, history=0), replace(soft, branches=[])
