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
from dep.utils.errors import DepError

TEXTLESS = "_textless"
"""Ends the name of an arm that another goes on from."""


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
        """How it is trained, after what `first` has learned."""
        train = replace(self.config.train, seed=self.seed)
        return replace(train, epochs=train.epochs - train.textless_epochs) if self.warm_start else train

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
        """The arm whose adapter its training goes on from: the same without texts; None where there is none.

        Raises:
            ValueError: where no epoch would be left for the prompts with texts.
        """
        train, (prompt, _) = self.config.train, self.configured
        if not (self.method.trains and train.textless_epochs and prompt.text and prompt.history):
            return None
        if train.epochs <= train.textless_epochs:
            raise DepError(
                f"train.textless_epochs: expected fewer than train.epochs = {train.epochs}, of which they are a part, "
                f"found {train.textless_epochs}; set train.textless_epochs=0, or train.epochs="
                f"{train.textless_epochs + 1} or more"
            )
        config = replace(
            self.config,
            label=f"{self.label}, first without texts",
            prompt=replace(self.config.prompt, text=False),
            train=replace(train, epochs=train.textless_epochs, textless_epochs=0),
        )
        return replace(self, name=self.name + TEXTLESS, config=config)
