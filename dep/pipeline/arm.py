"""One arm of a run at one seed: its configuration, method and settings.

`keys` computes the keys of its results; `store` reads and writes its files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from dep.config import schema
from dep.config.schema import RunConfig, build
from dep.data.prompts.settings import PromptConfig
from dep.methods import Method
from dep.models.adapters import ADAPTERS
from dep.models.settings import SoftPromptConfig
from dep.training.settings import TrainConfig


@dataclass(frozen=True)
class Arm:
    """A system of the comparison at one seed.

    Args:
        name: unique in the run; results are keyed by it.
        config: the run's configuration with the arm's file merged over it.
        seed: of training and generation.
        source: fingerprint of the reviews, so that the same configuration on other reviews has other keys.
    """

    name: str
    config: RunConfig
    seed: int
    source: str

    @property
    def label(self) -> str:
        """The arm's name in tables and charts."""
        return schema.label(self.config)

    @property
    def folder(self) -> Path:
        """Folder of the arm's files."""
        return Path(self.config.runs) / self.config.name / self.name / f"seed{self.seed}"

    @cached_property
    def method(self) -> Method:
        """The method that `config.method` names."""
        method: Method = build(self.config, "method")
        return method

    @cached_property
    def configured(self) -> tuple[PromptConfig, SoftPromptConfig]:
        """Settings of prompt and soft prompt, as the method changes the run's."""
        prompt, soft = self.method.configure(self.config.prompt, self.config.soft_prompt)
        if not prompt.reads_user_history:  # the field is not used, so its value must not enter a key
            prompt = replace(prompt, max_user_history=PromptConfig.max_user_history)
        return prompt, replace(soft, slots=prompt.history)

    @property
    def needs_vectors(self) -> bool:
        """Whether the arm reads the reviews' vectors, for soft tokens or to choose peers."""
        return bool(self.configured[1].branches) or self.method.needs_peers

    @property
    def settings(self) -> TrainConfig:
        """Settings of the training, with the epochs that the warm start leaves."""
        train = replace(self.config.train, seed=self.seed)
        return replace(train, epochs=train.epochs - train.warm_start_epochs) if self.warm_start else train

    @cached_property
    def training_view(self) -> Arm:
        """The arm in training: with `train.history` past reviews in a prompt, if that is set."""
        history = self.config.train.history
        fixed = ADAPTERS.component(self.configured[1].adapter).fixed_slots  # it has parameters for each slot
        if not history or fixed or not self.configured[0].history or history == self.config.prompt.history:
            return self
        label = f"{self.label}, trained on {history} past reviews"
        prompt = replace(self.config.prompt, history=history)
        return replace(self, config=replace(self.config, label=label, prompt=prompt))

    @cached_property
    def warm_start(self) -> Arm | None:
        """The arm from whose adapter its training goes on; None where it starts untrained."""
        config = self.config.warm_start_config
        if config is None or not self.method.trains:
            return None
        return replace(self, name=self.config.warm_start, config=config).training_view
