"""PPlug (Liu et al., 2025): one embedding of all the user's reviews before the request; no review as text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.settings import PromptConfig
from dep.methods.dep import DEP
from dep.models.settings import PPLUG_TOKENS, SoftPromptConfig
from dep.utils.registry import ComponentConfig


class PPlug(DEP):
    """PPlug's adapter, trained like DEP's, with the same embedder and frozen LLM."""

    kind = "pplug"
    label = "PPlug"
    role = "other"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Nothing to set."""

        kind: Literal["pplug"] = "pplug"

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Two soft tokens, of an instruction and of the user, and no past review."""
        return (
            replace(prompt, history=0, reads_user_history=True, user_tokens=PPLUG_TOKENS),
            replace(soft, adapter="pplug", branches=["user"]),
        )
