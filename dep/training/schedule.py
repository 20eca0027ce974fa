"""The learning rate schedule: warm-up, then decay."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["linear", "cosine", "constant"]
WarmUp = Literal["from_share", "from_zero"]


def warmup_steps(total: int, ratio: float, warmup: WarmUp) -> int:
    """How many of `total` optimizer steps are warm-up: `ratio` of them, rounded, or rounded up for `from_zero`."""
    return math.ceil(ratio * total) if warmup == "from_zero" else round(ratio * total)


def schedule_factor(step: int, total: int, warmup: int, schedule: Schedule, start: WarmUp = "from_share") -> float:
    """The factor on the peak learning rate at one optimizer step.

    With `from_share` the first of `warmup` steps has a factor of 1/warmup and the last has 1. With `from_zero` the
    first has 0, and the step after the warm-up has 1. Then `linear` and `cosine` fall so that they would reach 0 right
    after the last step; `constant` stays at 1.

    Args:
        step: number of the optimizer step, from 0.
        total: how many optimizer steps there are.
        warmup: how many of them are warm-up.
        schedule: shape of the decay.
        start: how the warm-up starts.
    """
    if step < warmup:
        return (step + (start == "from_share")) / warmup
    if schedule == "constant":
        return 1.0
    left = max(0.0, (total - step) / max(1, total - warmup))
    return left if schedule == "linear" else 0.5 * (1 - math.cos(math.pi * left))
