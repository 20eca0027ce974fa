"""PPlug (Liu et al., 2025): one embedding of all past reviews before the request; no review as text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.settings import PromptConfig
from dep.methods.dep import DEP
from dep.models.settings import PPLUG_TOKENS, SoftPromptConfig
from dep.utils.registry import ComponentConfig


class PPlug(DEP):
    """Trained like DEP, with the same embedder and the same frozen LLM."""

    kind = "pplug"
    label = "PPlug"
    role = "other"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Nothing to set."""

        kind: Literal["pplug"] = "pplug"

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """A prompt without past reviews, with a soft token of the instruction and one of the user."""
        return (
            replace(prompt, history=0, reads_user_history=True, user_tokens=PPLUG_TOKENS),
            replace(soft, adapter="pplug", branches=["user"]),
        )
