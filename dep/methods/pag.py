"""PAG (Richardson et al., 2023): the LLM first writes a profile from the user's past reviews; both enter the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.settings import PromptConfig
from dep.methods.base import ProfileContext, Step
from dep.methods.profiles.questions import profile_question
from dep.methods.rag import RAG
from dep.models.settings import SoftPromptConfig
from dep.types import Request
from dep.utils.registry import ComponentConfig


class PAG(RAG):
    """RAG's prompt, and a profile written from the same reviews."""

    kind = "pag"
    label = "PAG"
    profiles = True

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Nothing to set."""

        kind: Literal["pag"] = "pag"

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """RAG's prompt, with a section for the profile."""
        prompt, soft = super().configure(prompt, soft)
        return replace(prompt, profile=True), soft

    def calls(self, history: int) -> int:
        """One text: the profile."""
        return 1

    def write(self, requests: Sequence[Request], context: ProfileContext) -> list[list[Step]]:
        """Ask one question for each request."""
        questions = [profile_question(request.slots, context.instructions) for request in requests]
        return [[Step(question, text)] for question, text in zip(questions, context.ask(questions), strict=True)]
