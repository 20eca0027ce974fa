"""A control whose trained soft tokens are the same for every user.

It has as many soft tokens as DEP, at the same positions. DEP is trained on the task, and prompt-only systems are not.
The gain of this control over RAG measures the effect of training. The gain of DEP over this control measures the effect
of the information about the user.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.settings import PromptConfig
from dep.methods.dep import DEP
from dep.models.settings import SoftPromptConfig
from dep.utils.registry import ComponentConfig


class ConstantPrompt(DEP):
    """DEP with an adapter whose soft tokens are trained constants."""

    kind = "constant"
    label = "Constant prompt"
    role = "control"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """This method has no settings."""

        kind: Literal["constant"] = "constant"

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Keep the run's prompt, and take the soft tokens from the adapter `constant`."""
        return prompt, replace(soft, adapter="constant")
