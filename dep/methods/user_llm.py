"""User-LLM (Ning et al., 2025), in which a pretrained encoder embeds the user's history for the LLM."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.settings import PromptConfig
from dep.methods.dep import DEP
from dep.models.settings import SoftPromptConfig
from dep.utils.registry import ComponentConfig


class UserLLM(DEP):
    """A prompt without past reviews, with User-LLM's adapter; its settings are in `soft_prompt.user_llm`."""

    kind = "user_llm"
    label = "User-LLM"
    role = "other"
    pretrains = True

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """This method has no settings."""

        kind: Literal["user_llm"] = "user_llm"

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Set one soft token for each latent of the Perceiver or for each past review; none with cross-attention."""
        tokens = (soft.user_llm.latents or -1) if soft.user_llm.integration == "soft_prompt" else 0
        return (
            replace(prompt, history=0, reads_user_history=True, user_tokens=tokens),
            replace(soft, adapter="user_llm", branches=["user"]),
        )
