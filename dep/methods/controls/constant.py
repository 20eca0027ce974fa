"""Control: a trained constant prompt with as many soft tokens as DEP, at the same positions, the same for every user.

DEP is trained on the task and prompt-only systems are not. The gain of this arm over RAG measures the training; the
gain of DEP over this arm measures the information about the user.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.settings import PromptConfig
from dep.methods.dep import DEP
from dep.models.settings import SoftPromptConfig
from dep.utils.registry import ComponentConfig


class ConstantPrompt(DEP):
    """DEP's prompt, with trained constants in its slots."""

    kind = "constant"
    label = "Constant prompt"
    role = "control"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Nothing to set."""

        kind: Literal["constant"] = "constant"

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Keep the run's prompt; soft tokens come from a trained table."""
        return prompt, replace(soft, adapter="constant")
