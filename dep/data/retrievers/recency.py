"""A retriever that chooses the newest past reviews."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dep.types import Corpus, Example
from dep.utils.registry import ComponentConfig


class Recency:
    """Chooses the most recent past reviews, which is the best of the four strategies in Table 8."""

    kind = "recency"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """This retriever has no settings."""

        kind: Literal["recency"] = "recency"

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()

    def __call__(self, example: Example, corpus: Corpus, k: int) -> list[int]:
        """Return the rows of the last `k` reviews, newest first."""
        return list(example.profile[::-1][:k])
