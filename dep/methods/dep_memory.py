"""DEP at the output: the user's past reviews change the LLM's next-token probabilities, not its prompt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.settings import PromptConfig
from dep.methods.base import ActivationContext
from dep.methods.dep import DEP
from dep.models.settings import SoftPromptConfig
from dep.types import Example, UserHistory
from dep.utils.registry import ComponentConfig


class DEPMemory(DEP):
    """The run's prompt without soft tokens; the past acts at the LLM's output (`soft_prompt.memory`).

    With `memory.his` and `memory.diff` off it is a control: the correction that is the same for every user remains.
    """

    kind = "dep_memory"
    label = "DEP at the output"
    reads_activations = True

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """This method has no settings."""

        kind: Literal["dep_memory"] = "dep_memory"

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Keep the past reviews in the prompt if it shows text, and take soft tokens out."""
        prompt, soft = super().configure(prompt, soft)
        history, reads = prompt.history if prompt.text else 0, soft.memory.his or soft.memory.diff
        return (
            replace(prompt, history=history, reads_user_history=reads, user_tokens=0),
            replace(soft, adapter="memory", branches=[]),
        )

    def history_reader(self, soft: SoftPromptConfig, context: ActivationContext) -> Callable[[Example], UserHistory]:
        """Return what reads the past reviews of an example's user."""
        from dep.methods.memory_reader import MemoryReader

        return MemoryReader(context, context.builder.config.max_user_history)
