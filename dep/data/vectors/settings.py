"""Settings of the differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Weighting = Literal["uniform", "profile_distance", "other_item"]
Time = Literal["any", "earlier"]


@dataclass
class DifferenceConfig:
    """How peers are aggregated."""

    weighting: Weighting = "uniform"
    """How peers weigh: `uniform`, Eq. 4; `profile_distance`, the authors' code; `other_item`, the control."""
    time: Time = "any"
    """Which reviews of peers count: of `any` time (the paper and the authors' code) or only `earlier` ones (`uniform`
    alone)."""
