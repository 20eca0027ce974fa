"""Settings of Eq. 4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Weighting = Literal["uniform", "profile_distance", "other_item"]
Time = Literal["any", "earlier"]
Profile = Literal["shown", "pool", "pool_and_next"]


@dataclass
class DifferenceConfig:
    """How the vectors of peers are aggregated (Eq. 4)."""

    weighting: Weighting = "uniform"
    """How peers are weighted: `uniform`, Eq. 4; `profile_distance`, the authors' code; `other_item`, a control."""
    profile: Profile = "shown"
    """Reviews in the user means of `profile_distance`. `pool`: those that count as a peer's. `pool_and_next`: also the
    user's next one (the authors' code; see `protocol.peer_pool`). `shown`: `pool` for peers, and for the author the
    reviews that the prompt shows, so that a prompt of K reviews depends on no review that it withholds."""
    min_reviewers: int = 1
    """Fewest users with a counted review of the item, for a review to have a difference. The author counts if their own
    review does; so with 2 (the authors' code) a review that counts itself needs one peer, any other two."""
    time: Time = "any"
    """Which reviews of peers count: those of `any` time, as in the paper and the authors' code, or only `earlier` ones
    (with `uniform` only)."""

    @property
    def depends_on_prompt(self) -> bool:
        """Whether a review's difference depends on which other reviews of its author a prompt shows."""
        return self.weighting == "profile_distance" and self.profile == "shown"
