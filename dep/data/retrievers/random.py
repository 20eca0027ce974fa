"""A retriever that chooses past reviews at random."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from dep.types import Corpus, Example
from dep.utils.registry import ComponentConfig


class Random:
    """Draws past reviews uniformly at random; an example gets the same ones in every run."""

    kind = "random"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Settings of the draw."""

        kind: Literal["random"] = "random"
        seed: int = 0
        """Seed of the draw, together with the example's key."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()

    def __call__(self, example: Example, corpus: Corpus, k: int) -> list[int]:
        """Return the rows of `k` random reviews, newest first."""
        drawn = random.Random(f"{self.config.seed}/{example.key}").sample(example.profile, min(k, len(example.profile)))
        return sorted(drawn, key=lambda row: (corpus.reviews[row].time, row), reverse=True)
