"""Non-Perso: the item, the rating and the title; nothing of the user (Section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dep.data.prompt import PromptConfig
from dep.data.requests import Requests
from dep.model.soft_prompt import SoftPrompt
from dep.records import Request


class NonPerso:
    """No history in the prompt, nothing trained."""

    kind = "non_perso"
    label = "Non-Perso"
    trains = False

    @dataclass
    class Config:
        """Nothing to choose."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def shape(self, prompt: PromptConfig, soft: SoftPrompt.Config) -> tuple[PromptConfig, SoftPrompt.Config]:
        """No past reviews, no soft tokens."""
        return replace(prompt, history=0), replace(soft, branches=[])

    def at_test(self, requests: Requests, seed: int) -> Sequence[Request]:
        """The requests as they are."""
        return requests
