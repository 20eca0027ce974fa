"""One arm of a run at one seed: what is trained or prompted, and how.

`keys` names its results by what they depend on; `store` reads and writes its folder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from dep.config.schema import RunConfig, build, label
from dep.data.prompts.settings import PromptConfig
from dep.methods import Method
from dep.models.adapters import ADAPTERS
from dep.models.settings import SoftPromptConfig
from dep.training.settings import TrainConfig


@dataclass(frozen=True)
class Arm:
    """A system of the comparison, ready to be trained or asked.

    `source` is the fingerprint of the reviews, so that the same configuration on other reviews is another arm.
    """

    name: str
    config: RunConfig
    seed: int
    source: str

    @property
    def label(self) -> str:
        """What tables call it."""
        return label(self.config)

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return Path(self.config.runs) / self.config.name / self.name / f"seed{self.seed}"

    @cached_property
    def method(self) -> Method:
        """The method."""
        chosen: Method = build(self.config, "method")
        return chosen

    @cached_property
    def configured(self) -> tuple[PromptConfig, SoftPromptConfig]:
        """The prompt and soft prompt that the method makes of the run's."""
        prompt, soft = self.method.configure(self.config.prompt, self.config.soft_prompt)
        if not prompt.reads_user_history:
            prompt = replace(
                prompt, max_user_history=PromptConfig.max_user_history
            )  # not read, so no part of what is the same
        return prompt, replace(soft, slots=prompt.history)

    @property
    def needs_vectors(self) -> bool:
        """Whether anything of it reads the reviews' vectors."""
        return bool(self.configured[1].branches) or self.method.needs_peers

    @property
    def settings(self) -> TrainConfig:
        """How it is trained, with the epochs that its warm start leaves."""
        train = replace(self.config.train, seed=self.seed)
        return replace(train, epochs=train.epochs - train.warm_start_epochs) if self.warm_start else train

    @cached_property
    def training_view(self) -> Arm:
        """The arm as its adapter is trained: with `train.history` past reviews a prompt, where that is set."""
        history = self.config.train.history
        fixed = ADAPTERS.component(self.configured[1].adapter).fixed_slots  # it has a vector of its own for each place
        if not history or fixed or not self.configured[0].history or history == self.config.prompt.history:
            return self
        named = f"{self.label}, taught on {history} past reviews"
        prompt = replace(self.config.prompt, history=history)
        return replace(self, config=replace(self.config, label=named, prompt=prompt))

    @cached_property
    def warm_start(self) -> Arm | None:
        """The arm from whose adapter its training goes on; None where it starts untrained."""
        config = self.config.warm_start_config
        if config is None or not self.method.trains:
            return None
        return replace(self, name=self.config.warm_start, config=config).training_view
