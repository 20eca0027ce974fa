"""RAG (Salemi et al., 2024): the retrieved past reviews stand in the prompt as text; nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dep.data.prompt import PromptConfig
from dep.data.requests import Requests
from dep.model.soft_prompt import SoftPrompt
from dep.records import Request


class RAG:
    """History as text, no soft tokens."""

    kind = "rag"
    label = "RAG"
    trains = False

    @dataclass
    class Config:
        """Nothing to choose."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def shape(self, prompt: PromptConfig, soft: SoftPrompt.Config) -> tuple[PromptConfig, SoftPrompt.Config]:
        """The run's prompt without slots."""
        return prompt, replace(soft, branches=[])

    def at_test(self, requests: Requests, seed: int) -> Sequence[Request]:
        """The requests as they are."""
        return requests
