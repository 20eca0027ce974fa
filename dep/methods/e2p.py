"""E2P (Huber et al., 2025), in which one embedding of the user becomes one soft token of the frozen LLM."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.settings import PromptConfig
from dep.methods.dep import DEP
from dep.models.settings import SoftPromptConfig
from dep.utils.registry import ComponentConfig


class E2P(DEP):
    """The run's prompt, with one soft token for the whole past in place of DEP's soft tokens for each past review.

    The paper takes a user embedding that a service already has. Here it is the mean of the vectors of the user's past
    reviews. The paper combines the soft token with a textual prompt; `prompt.text: false` leaves the texts out.
    """

    kind = "e2p"
    label = "E2P"
    role = "other"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """This method has no settings."""

        kind: Literal["e2p"] = "e2p"

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Keep the run's past reviews, and set one soft token for the user."""
        return (
            replace(prompt, reads_user_history=True, user_tokens=1),
            replace(soft, adapter="e2p", branches=["user"]),
        )
