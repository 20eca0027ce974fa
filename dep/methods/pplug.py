"""PPlug (Liu et al., 2025): one embedding of all that the user wrote, before the request; no review as text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.settings import PromptConfig
from dep.methods.dep import DEP
from dep.models.settings import PPLUG_TOKENS, SoftPromptConfig
from dep.utils.registry import ComponentConfig


class PPlug(DEP):
    """Trained as DEP is, with the same embedder and the same frozen LLM."""

    kind = "pplug"
    label = "PPlug"
    role = "other"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Nothing to set."""

        kind: Literal["pplug"] = "pplug"

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """An instruction's soft token and the user's, and no past review."""
        return (
            replace(prompt, history=0, reads_user_history=True, user_tokens=PPLUG_TOKENS),
            replace(soft, adapter="pplug", branches=["user"]),
        )
