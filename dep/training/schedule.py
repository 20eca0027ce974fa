"""The schedule of the learning rate, which first warms up and then decays."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["linear", "cosine", "constant"]
WarmUp = Literal["from_share", "from_zero"]


def warmup_steps(total: int, ratio: float, warmup: WarmUp) -> int:
    """Return the number of warm-up steps: `ratio` times `total`, which is rounded, or rounded up for `from_zero`."""
    return math.ceil(ratio * total) if warmup == "from_zero" else round(ratio * total)


def schedule_factor(step: int, total: int, warmup: int, schedule: Schedule, start: WarmUp = "from_share") -> float:
    """Return the factor by which the peak learning rate is multiplied at an optimizer step.

    With `from_share` the factor is 1/warmup at the first of the `warmup` steps and 1 at the last. With `from_zero` it
    is 0 at the first step and 1 at the step after the warm-up. Then `linear` and `cosine` fall so that they would reach
    0 right after the last step, and `constant` stays at 1.

    Args:
        step: the number of the optimizer step, from 0.
        total: how many optimizer steps there are.
        warmup: how many of these steps are warm-up.
        schedule: the shape of the decay.
        start: how the warm-up starts.
    """
    if step < warmup:
        return (step + (start == "from_share")) / warmup
    if schedule == "constant":
        return 1.0
    left = max(0.0, (total - step) / max(1, total - warmup))
    return left if schedule == "linear" else 0.5 * (1 - math.cos(math.pi * left))
