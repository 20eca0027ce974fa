"""DEP with a user encoder, which reads the vectors and differences of the user's whole past."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.settings import PromptConfig
from dep.methods.dep import DEP
from dep.models.settings import SoftPromptConfig
from dep.utils.registry import ComponentConfig


class DEPUser(DEP):
    """The run's prompt with soft tokens of the whole user; the encoder's settings are in `soft_prompt.dep_user`."""

    kind = "dep_user"
    label = "DEP, user encoder"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """This method has no settings."""

        kind: Literal["dep_user"] = "dep_user"

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Keep the past reviews in the prompt, and set the soft tokens of the user encoder."""
        user = soft.dep_user
        reads_differences = user.differences or (user.conditioned and user.target_peers)
        return (
            replace(
                prompt, reads_user_history=True, reads_differences=reads_differences, user_tokens=user.tokens,
            ),
            replace(soft, adapter="dep_user", branches=["user"]),
        )  # fmt: skip
