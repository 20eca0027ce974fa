"""RAG (Salemi et al., 2024): the retrieved past reviews stand in the prompt as text; nothing is trained."""

from __future__ import annotations

from dataclasses import replace

from dep.data.prompts.builder import PromptConfig
from dep.methods.base import Method
from dep.models.soft_prompt import SoftPrompt


class RAG(Method):
    """History as text, no soft tokens."""

    kind = "rag"
    label = "RAG"

    def configure(self, prompt: PromptConfig, soft: SoftPrompt.Config) -> tuple[PromptConfig, SoftPrompt.Config]:
        """The run's prompt without slots."""
        return prompt, replace(soft, branches=[])
