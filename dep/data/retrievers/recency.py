"""Retrieval by time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dep.types import Corpus, Example
from dep.utils.registry import ComponentConfig


class Recency:
    """The most recent past reviews, the best of the four strategies of Table 8."""

    kind = "recency"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Nothing to set."""

        kind: Literal["recency"] = "recency"

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()

    def __call__(self, example: Example, corpus: Corpus, k: int) -> list[int]:
        """The last `k` rows, newest first."""
        return list(example.profile[::-1][:k])
