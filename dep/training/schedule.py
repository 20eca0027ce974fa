"""The learning rate schedule: warm-up, then decay."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["linear", "cosine", "constant"]


def schedule_factor(step: int, total: int, warmup: int, schedule: Schedule) -> float:
    """The factor on the peak learning rate at one optimizer step.

    The first of `warmup` steps has a factor of 1/warmup, the last has 1. Then `linear` and `cosine` fall so that they
    would reach 0 right after the last step; `constant` stays at 1.

    Args:
        step: number of the optimizer step, from 0.
        total: how many optimizer steps there are.
        warmup: how many of them are warm-up.
        schedule: shape of the decay.
    """
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "constant":
        return 1.0
    left = max(0.0, (total - step) / max(1, total - warmup))
    return left if schedule == "linear" else 0.5 * (1 - math.cos(math.pi * left))
