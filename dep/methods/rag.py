"""RAG (Salemi et al., 2024): the prompt holds the retrieved past reviews as text; nothing is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.settings import PromptConfig
from dep.methods.base import Method
from dep.models.settings import SoftPromptConfig
from dep.utils.registry import ComponentConfig


class RAG(Method):
    """History as text, no soft tokens."""

    kind = "rag"
    label = "RAG"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Nothing to set."""

        kind: Literal["rag"] = "rag"

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Keep the run's prompt, without soft tokens."""
        return prompt, replace(soft, branches=[])
