"""DEP: the user's own vectors and their differences from peers, as soft tokens of a frozen LLM (Section 3)."""

from __future__ import annotations

from dataclasses import replace

from dep.data.prompts.builder import PromptConfig
from dep.methods.base import Method
from dep.models.soft_prompt import SoftPrompt


class DEP(Method):
    """Prompt and soft prompt as the run asks for."""

    kind = "dep"
    label = "DEP"
    trains = True

    def configure(self, prompt: PromptConfig, soft: SoftPrompt.Config) -> tuple[PromptConfig, SoftPrompt.Config]:
        """Soft tokens from the user."""
        return prompt, replace(soft, source="user")
