"""What a system of the comparison is: how it shapes prompt and soft prompt, and what it does to test requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dep.data.prompt import PromptConfig
from dep.data.requests import Requests
from dep.model.soft_prompt import SoftPrompt
from dep.records import Request


class Method(Protocol):
    """One system. All share data, prompts, generation and scoring; a method says only what it changes."""

    kind: str
    label: str
    trains: bool
    """Whether it has an adapter; one without is prompt-only."""

    def shape(self, prompt: PromptConfig, soft: SoftPrompt.Config) -> tuple[PromptConfig, SoftPrompt.Config]:
        """The prompt and the soft prompt of this method, from those that the run asks for."""

    def at_test(self, requests: Requests, seed: int) -> Sequence[Request]:
        """The requests that generation and scoring see."""
