"""Settings of Eq. 4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Weighting = Literal["uniform", "profile_distance", "other_item"]
Time = Literal["any", "earlier"]


@dataclass
class DifferenceConfig:
    """How the vectors of peers are aggregated (Eq. 4)."""

    weighting: Weighting = "uniform"
    """How peers are weighted: `uniform`, Eq. 4; `profile_distance`, the authors' code; `other_item`, a control."""
    time: Time = "any"
    """Which reviews of peers count: those of `any` time, as in the paper and the authors' code, or only `earlier` ones
    (with `uniform` only)."""
