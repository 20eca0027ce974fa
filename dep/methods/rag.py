"""RAG (Salemi et al., 2024): the retrieved past reviews stand in the prompt as text; nothing is trained."""

from __future__ import annotations

from dataclasses import replace

from dep.data.prompt import PromptConfig
from dep.methods.base import Method
from dep.model.soft_prompt import SoftPrompt


class RAG(Method):
    """History as text, no soft tokens."""

    kind = "rag"
    label = "RAG"

    def shape(self, prompt: PromptConfig, soft: SoftPrompt.Config) -> tuple[PromptConfig, SoftPrompt.Config]:
        """The run's prompt without slots."""
        return prompt, replace(soft, branches=[])
