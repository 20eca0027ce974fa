"""PAG (Richardson et al., 2023), in which the LLM first writes a profile of the user, which then enters the prompt."""

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
    """RAG's prompt with a profile, which the LLM writes from the same past reviews."""

    kind = "pag"
    label = "PAG"
    profiles = True

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """This method has no settings."""

        kind: Literal["pag"] = "pag"

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Keep RAG's prompt, and add a section for the profile."""
        prompt, soft = super().configure(prompt, soft)
        return replace(prompt, profile=True), soft

    def calls(self, history: int) -> int:
        """Return 1, since the LLM writes one text, the profile, before the review."""
        return 1

    def write(self, requests: Sequence[Request], context: ProfileContext) -> list[list[Step]]:
        """Ask one question for each request, whose answer is the profile."""
        questions = [profile_question(request.slots, context.instructions) for request in requests]
        return [[Step(question, text)] for question, text in zip(questions, context.ask(questions), strict=True)]
