"""Control: a trained constant prompt. As many soft tokens as DEP, at the same places, the same for every user.

DEP is trained on the task and prompt-only systems are not; what this arm gains over RAG is that training, and what
DEP gains over this arm is knowing the user.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.settings import PromptConfig
from dep.methods.dep import DEP
from dep.models.settings import SoftPromptConfig
from dep.utils.registry import ComponentConfig


class ConstantPrompt(DEP):
    """DEP's prompt with trained constants in its slots."""

    kind = "constant"
    label = "Constant prompt"
    role = "control"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Nothing to set."""

        kind: Literal["constant"] = "constant"

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Soft tokens from a table."""
        return prompt, replace(soft, adapter="constant")
