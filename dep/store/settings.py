"""Settings of a store of reviews; this module imports no torch, so that a configuration is checked without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dep.utils.errors import DepError


@dataclass
class StoreConfig:
    """How the store that `dep update` writes (`dep.PeerIndex`) compares a review with its peers."""

    min_peers: int = 1
    """The fewest other users (k-anonymity). An item that fewer others reviewed gives no peer mean and no difference."""
    tau: float = 0.0
    """Shrinkage where peers are few. With n peers, their mean has the weight n / (n + tau), and the mean of what others
    wrote in the whole category has the rest. 0 shrinks nothing."""
    noise: float = 0.0
    """Noise multiplier of differentially private peer means: the standard deviation of the Gaussian noise, divided by
    the largest change that one review can make. 0 turns privacy off."""
    clip: float = 1.0
    """With noise: the largest norm of a review's vector; longer vectors are shortened to it."""
    delta: float = 1e-6
    """With noise: the delta at which the spent epsilon is stated."""
    refresh: float = 0.1
    """With noise: an item's private mean is drawn again when its reviews have grown by this share, or when one of them
    is deleted or replaced. Each draw spends privacy."""


@dataclass
class PeerSettings(StoreConfig):
    """What a store keeps of its settings: those of `StoreConfig`, and which peers count."""

    time: Literal["any", "earlier"] = "any"
    """Which reviews of peers count: all, or those `earlier` than the review that is compared with them."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            DepError: a value is out of range, or two of them exclude each other.
        """
        ranges = {
            "min_peers": (self.min_peers >= 1, "1 or more"),
            "tau": (self.tau >= 0, "0 or more"),
            "noise": (self.noise >= 0, "0 or more"),
            "clip": (self.clip > 0, "more than 0"),
            "delta": (0 < self.delta < 1, "a number between 0 and 1"),
            "refresh": (self.refresh >= 0, "0 or more"),
        }
        for name, (good, expected) in ranges.items():
            if not good:
                raise DepError(f"store.{name}", expected, f"{getattr(self, name):g}")
        if self.noise and self.tau:
            raise DepError(
                "store.noise", "0 with store.tau above 0", f"{self.noise:g}",
                "set store.tau=0: the category's mean would spend privacy with every review of a user",
            )  # fmt: skip
        if self.time == "earlier" and (self.tau or self.noise):
            raise DepError(
                "store.tau and store.noise", "0 with difference.time=earlier", f"{self.tau:g} and {self.noise:g}",
                "set both to 0, or difference.time=any",
            )  # fmt: skip
