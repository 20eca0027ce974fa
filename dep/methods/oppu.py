"""OPPU (Tan et al., 2024, arXiv 2402.04401), which trains a LoRA for each user on that user's past reviews."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dep.methods.lora import LoRA
from dep.training.settings import UserTraining
from dep.utils.registry import ComponentConfig


class OPPU(LoRA):
    """The run's prompt without soft tokens, and a LoRA of the user's own; every past review is once a target.

    A past review's training prompt shows reviews that are older than it, chosen by the run's retriever. The paper does
    not say how short histories are trained on: here a learning rate of 1e-3 and 3 epochs (the authors' code: 1e-4 and
    2, for a 7B LLM), and updates are scaled by 2 as all of this package's (the authors' code: by 1).
    """

    kind = "oppu"
    label = "OPPU"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """How a user's LoRA is trained; `soft_prompt.lora.targets` names the layers that it updates."""

        kind: Literal["oppu"] = "oppu"
        task_lora: bool = False
        """Whether a LoRA that is first trained on all users, that of the method `lora`, stays below each user's own
        (the paper's task adaptation). It is trained as `train` says, and may have a `warm_start`."""
        rank: int = 8
        """The rank of a user's LoRA."""
        lr: float = 1e-3
        """Peak learning rate of AdamW; it warms up in a tenth of the steps and then falls to zero."""
        epochs: int = 3
        """Number of passes over a user's past reviews."""
        batch: int = 4
        """Number of past reviews in an optimizer step."""
        reviews: int = 50
        """Largest number of past reviews that a user's LoRA is trained on; the newest are taken."""
        users: Literal["own", "others"] = "own"
        """Whose LoRA writes a review: the user's `own`, or as a control that of another user, `others`."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.trains = config.task_lora
        self.draws_donors = config.users == "others"
        self.user_training = UserTraining(
            config.rank, config.lr, config.epochs, config.batch, config.reviews, config.users == "others"
        )
