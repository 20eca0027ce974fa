"""A LoRA baseline with RAG's prompt and trained low-rank updates of the LLM that are the same for every user."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.settings import PromptConfig
from dep.methods.dep import DEP
from dep.models.settings import SoftPromptConfig
from dep.utils.registry import ComponentConfig


class LoRA(DEP):
    """Past reviews as text and low-rank updates without soft tokens; rank and layers are set in `soft_prompt.lora`."""

    kind = "lora"
    label = "RAG + LoRA"
    role = "other"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """This method has no settings."""

        kind: Literal["lora"] = "lora"

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Keep the run's prompt, but without soft tokens."""
        return prompt, replace(soft, adapter="lora", branches=[])
