"""RAG (Salemi et al., 2024), whose prompt holds the retrieved past reviews as text; nothing is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.settings import PromptConfig
from dep.methods.base import Method
from dep.models.settings import SoftPromptConfig
from dep.utils.registry import ComponentConfig


class RAG(Method):
    """The LLM with past reviews as text and without soft tokens."""

    kind = "rag"
    label = "RAG"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """This method has no settings."""

        kind: Literal["rag"] = "rag"

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Keep the run's prompt, but without soft tokens."""
        return prompt, replace(soft, branches=[])
