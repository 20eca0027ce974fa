"""PAG (Richardson et al., 2023): the LLM first writes a profile of the user's past reviews; both enter the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dep.data.prompt import PromptConfig
from dep.methods.base import Step, Writing
from dep.methods.rag import RAG
from dep.model.soft_prompt import SoftPrompt
from dep.profile.asks import profile_ask
from dep.records import Request


class PAG(RAG):
    """RAG's prompt, and a profile written from the same reviews."""

    kind = "pag"
    label = "PAG"
    profiles = True

    def shape(self, prompt: PromptConfig, soft: SoftPrompt.Config) -> tuple[PromptConfig, SoftPrompt.Config]:
        """RAG's, with room for the profile."""
        prompt, soft = super().shape(prompt, soft)
        return replace(prompt, profile=True), soft

    def calls(self, history: int) -> int:
        """The profile."""
        return 1

    def write(self, requests: Sequence[Request], writing: Writing) -> list[list[Step]]:
        """One question a request."""
        asks = [profile_ask(request.slots, writing.instructions) for request in requests]
        return [[Step(ask, text)] for ask, text in zip(asks, writing.ask(asks), strict=True)]
