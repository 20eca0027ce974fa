"""DEP: the user's own vectors and their differences from peers, as soft tokens of a frozen LLM (Section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dep.data.prompt import PromptConfig
from dep.data.requests import Requests
from dep.model.soft_prompt import SoftPrompt
from dep.records import Request


class DEP:
    """Prompt and soft prompt as the run asks for."""

    kind = "dep"
    label = "DEP"
    trains = True

    @dataclass
    class Config:
        """Nothing to choose: what varies is in `prompt`, `soft_prompt`, `compressor` and `projector`."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def shape(self, prompt: PromptConfig, soft: SoftPrompt.Config) -> tuple[PromptConfig, SoftPrompt.Config]:
        """Soft tokens from the user."""
        return prompt, replace(soft, source="user")

    def at_test(self, requests: Requests, seed: int) -> Sequence[Request]:
        """The requests as they are."""
        return requests
