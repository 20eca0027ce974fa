"""Settings of differences (Eq. 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Weighting = Literal["uniform", "profile_distance", "other_item"]
Time = Literal["any", "earlier"]
Profile = Literal["shown", "pool", "pool_and_next"]


@dataclass
class DifferenceConfig:
    """How a review's difference from its peers is computed (Eq. 4)."""

    weighting: Weighting = "uniform"
    """How peers are weighted. `uniform`: equally (Eq. 4). `profile_distance`: peers unlike the author get more weight
    (the authors' code). `other_item`: equally, but the peers are those of another item (a control)."""
    profile: Profile = "shown"
    """Which reviews enter the users' mean vectors that `profile_distance` compares. `pool`: those that count as a
    peer's (see `protocol.peer_pool`). `pool_and_next`: also the user's first review after these (the authors' code).
    `shown`: for peers the same as `pool`, and for the author the reviews that the prompt shows, so that a prompt does
    not depend on reviews that it withholds."""
    min_reviewers: int = 1
    """A review gets no difference if fewer users than this have a review of its item that counts as a peer's. The
    author is one of these users if the author's review counts. With 2 (the authors' code), a review that counts needs
    one peer, and a review that does not count needs two."""
    time: Time = "any"
    """Which reviews of peers count: those of `any` time, as in the paper and the authors' code, or only those that are
    `earlier` than the author's review (this needs the weighting `uniform`)."""

    @property
    def depends_on_prompt(self) -> bool:
        """Whether a review's difference depends on which of the author's reviews a prompt shows."""
        return self.weighting == "profile_distance" and self.profile == "shown"
