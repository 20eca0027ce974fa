"""An arm (one system of a comparison, with its settings) at one seed, and what follows from its configuration.

The module `keys` computes the keys of its results, and the module `store` reads and writes its folder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dep.config.schema import RunConfig, build, label
from dep.data.prompts.chat_frame import ChatFrame
from dep.data.prompts.settings import PromptConfig
from dep.methods import Method
from dep.models.adapters import ADAPTERS
from dep.models.settings import SoftPromptConfig
from dep.training.align_settings import AlignConfig
from dep.training.settings import TrainConfig

if TYPE_CHECKING:
    from dep.data.alignment import Task


@dataclass(frozen=True)
class Arm:
    """A system that is compared, at one seed."""

    name: str
    config: RunConfig
    seed: int
    source: str
    """The fingerprint of the reviews, which enters the keys of all results."""

    @property
    def label(self) -> str:
        """The arm's name in tables."""
        return label(self.config)

    @property
    def folder(self) -> Path:
        """The folder of the arm's files."""
        return Path(self.config.runs) / self.config.name / self.name / f"seed{self.seed}"

    @cached_property
    def method(self) -> Method:
        """The method, built from its settings."""
        built: Method = build(self.config, "method")
        return built

    @cached_property
    def configured(self) -> tuple[PromptConfig, SoftPromptConfig]:
        """The settings of prompt and soft prompt, as the method has changed them."""
        prompt, soft = self.method.configure(self.config.prompt, self.config.soft_prompt)
        if not prompt.reads_user_history:
            # Keys hash these settings: an unread one must not make two arms differ.
            prompt = replace(prompt, max_user_history=PromptConfig.max_user_history)
        return prompt, replace(soft, slots=prompt.history)

    @cached_property
    def frame(self) -> ChatFrame | None:
        """The rendered chat template of the arm's prompts; None if the tokenizer is not on this machine.

        It is rendered only once, as a template may write the date.
        """
        from dep.pipeline.content import rendered_frame  # imports torch, which a mistyped key must not wait for

        prompt, soft = self.configured
        return rendered_frame(self.config, prompt, soft.branches)

    @property
    def needs_vectors(self) -> bool:
        """Whether the arm's soft tokens or its method read the reviews' vectors."""
        return bool(self.configured[1].branches) or self.method.needs_peers

    @property
    def settings(self) -> TrainConfig:
        """The settings of training, with the arm's seed and the number of epochs that remain after its warm start."""
        train = replace(self.config.train, seed=self.seed)
        return replace(train, epochs=train.epochs - train.warm_start_epochs) if self.warm_start else train

    @cached_property
    def training_view(self) -> Arm:
        """This arm as it is trained, that is, with `train.history` past reviews in a prompt if that is set."""
        history = self.config.train.history
        # An adapter with parameters for each slot index can serve no more slots than it was trained with.
        fixed = ADAPTERS.component(self.configured[1].adapter).fixed_slots
        if not history or fixed or not self.configured[0].history or history == self.config.prompt.history:
            return self
        view_label = f"{self.label}, trained on {history} past reviews"
        prompt = replace(self.config.prompt, history=history)
        return replace(self, config=replace(self.config, label=view_label, prompt=prompt))

    @cached_property
    def warm_start(self) -> Arm | None:
        """The arm from whose trained adapter this arm's training starts; None if it starts from an untrained one."""
        config = self.config.warm_start_config
        if config is None or not self.method.trains:
            return None
        return replace(self, name=self.config.warm_start, config=config).training_view

    @property
    def calibrates(self) -> bool:
        """Whether some numbers of the trained adapter are fitted on the validation users (`train.calibrate`)."""
        can = ADAPTERS.component(self.configured[1].adapter).calibrates
        return bool(self.config.train.calibrate) and self.method.trains and can

    @property
    def uncalibrated(self) -> Arm:
        """This arm as its training leaves it."""
        return replace(self, config=replace(self.config, train=replace(self.config.train, calibrate=None)))

    @property
    def first(self) -> Arm:
        """The first arm in the chain of warm starts that ends with this one, as it is trained."""
        earlier = self.training_view.warm_start
        return earlier.first if earlier else self.training_view

    @property
    def alignment_tasks(self) -> list[Task]:
        """The tasks on which the arm's adapter is aligned; none without alignment, and none after a warm start."""
        align, branches = self.config.train.align, self.configured[1].branches
        if not align.epochs or not self.method.trains or self.warm_start:
            return []
        return [task for task in align.tasks if task in branches or "user" in branches]

    @property
    def alignment_settings(self) -> TrainConfig:
        """The settings of training in the alignment stage."""
        train = self.config.train
        lr, muon_lr, own = train.lr, train.muon_lr, train.align.lr
        if own is not None:
            lr, muon_lr = (lr, own) if train.optimizer == "muon" else (own, muon_lr)
        return replace(
            train, seed=self.seed, epochs=train.align.epochs, warm_start_epochs=0, history=0, monitor="val_nll",
            align=AlignConfig(), lr=lr, muon_lr=muon_lr,
        )  # fmt: skip

    @property
    def alignment_prompt(self) -> PromptConfig:
        """The settings of prompts in the alignment stage: one past review without text, or none for whole histories."""
        prompt, soft = self.configured
        shown = int("his" in soft.branches or "diff" in soft.branches)
        return replace(prompt, history=shown, text=False, profile=False, pairing="own")

    @cached_property
    def alignment_frame(self) -> ChatFrame | None:
        """The rendered chat template of prompts in the alignment stage."""
        from dep.pipeline.content import rendered_frame

        return rendered_frame(self.config, self.alignment_prompt, self.configured[1].branches)
