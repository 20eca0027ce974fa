"""How the learning rate rises and falls."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["linear", "cosine", "constant"]


def schedule_factor(step: int, total: int, warmup: int, schedule: Schedule) -> float:
    """Share of the peak learning rate that optimizer step `step` (from 0) of `total` is taken with.

    The first of `warmup` steps has 1/warmup of the peak (not nothing), the last all of it; then `linear` and
    `cosine` fall to zero just after the last step, `constant` stays.
    """
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "constant":
        return 1.0
    left = max(0.0, (total - step) / max(1, total - warmup))
    return left if schedule == "linear" else 0.5 * (1 - math.cos(math.pi * left))
