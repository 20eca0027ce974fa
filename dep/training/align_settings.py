"""Settings of the alignment stage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class AlignConfig:
    """The alignment stage, in which an adapter learns what a vector means before it is trained on users (Eq. 11).

    It has `train`'s other settings. Arms share an aligned adapter; an arm with a warm start continues from one that its
    warm start aligned.
    """

    epochs: int = 0
    """Number of passes over the alignment examples; 0 for no alignment (the paper)."""
    tasks: list[Literal["his", "diff"]] = field(default_factory=lambda: ["his", "diff"])
    """What is learned, from single reviews of the training population. `his`: to write a review from its own vector.
    `diff`: to write it from its difference and from what others wrote about the item. An adapter without such soft
    tokens leaves the task out; one that reads a user's whole history reads a history of this one review for both."""
    max_examples: int | None = None
    """Largest number of training examples of all tasks together, drawn by the arm's seed; null for all."""
    held_out: int = 64
    """Largest number of validation reviews for each task, with which the stage measures what it has learned."""
    lr: float | None = None
    """Peak learning rate of this stage in place of `train.lr` (AdamW) or `train.muon_lr` (Muon); null takes that."""
