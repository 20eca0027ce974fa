"""StyleVector (Zhang et al., 2025), which steers the frozen LLM by a direction in its activations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.settings import PromptConfig
from dep.methods.base import ActivationContext, Method
from dep.models.settings import SoftPromptConfig
from dep.types import Example, UserHistory
from dep.utils.registry import ComponentConfig


class StyleVector(Method):
    """Non-Perso's prompt with a style vector, whose settings are in `soft_prompt.style_vector`; nothing is trained.

    Of the paper's three ways to compute the vector (mean difference, logistic regression, PCA), this is the first.
    """

    kind = "style_vector"
    label = "StyleVector"
    reads_activations = True

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """This method has no settings."""

        kind: Literal["style_vector"] = "style_vector"

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Remove past reviews and soft tokens from the prompt; the style vector acts inside the LLM."""
        return (
            replace(prompt, history=0, reads_user_history=True, user_tokens=0),
            replace(soft, adapter="style_vector", branches=[]),
        )

    def history_reader(self, soft: SoftPromptConfig, context: ActivationContext) -> Callable[[Example], UserHistory]:
        """Return what computes the style vector of an example's user."""
        from dep.methods.style_reader import StyleReader

        return StyleReader(soft.style_vector, context)
