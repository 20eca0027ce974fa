"""Non-Perso: a prompt with the item, the rating and the title, and nothing of the user (Section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.settings import PromptConfig
from dep.methods.base import Method
from dep.models.settings import SoftPromptConfig
from dep.utils.registry import ComponentConfig


class NonPerso(Method):
    """No history in the prompt, nothing trained."""

    kind = "non_perso"
    label = "Non-Perso"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Nothing to set."""

        kind: Literal["non_perso"] = "non_perso"

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Remove past reviews and soft tokens."""
        return replace(prompt, history=0), replace(soft, branches=[])
