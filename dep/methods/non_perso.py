"""Non-Perso: the item, the rating and the title; nothing of the user (Section 4.1)."""

from __future__ import annotations

from dataclasses import replace

from dep.data.prompts.builder import PromptConfig
from dep.methods.base import Method
from dep.models.soft_prompt import SoftPrompt


class NonPerso(Method):
    """No history in the prompt, nothing trained."""

    kind = "non_perso"
    label = "Non-Perso"

    def configure(self, prompt: PromptConfig, soft: SoftPrompt.Config) -> tuple[PromptConfig, SoftPrompt.Config]:
        """No past reviews, no soft tokens."""
        return replace(prompt, history=0), replace(soft, branches=[])
