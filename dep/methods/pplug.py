"""PPlug (Liu et al., 2025), whose prompt holds one embedding of all the user's earlier reviews, and no text of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.settings import PromptConfig
from dep.methods.dep import DEP
from dep.models.settings import PPLUG_TOKENS, SoftPromptConfig
from dep.utils.registry import ComponentConfig


class PPlug(DEP):
    """A prompt without past reviews, with PPlug's adapter; embedder, frozen LLM and training are the same as DEP's."""

    kind = "pplug"
    label = "PPlug"
    role = "other"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """This method has no settings."""

        kind: Literal["pplug"] = "pplug"

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Set two soft tokens, one for an instruction and one for the user, and no past review."""
        return (
            replace(prompt, history=0, reads_user_history=True, user_tokens=PPLUG_TOKENS),
            replace(soft, adapter="pplug", branches=["user"]),
        )
