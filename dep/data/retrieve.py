"""Which of a user's past reviews go into the prompt: D*_u' of Section 3.2.1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class Retriever(Protocol):
    """Chooses rows of a profile."""

    kind: str

    def __call__(self, profile: Sequence[int], k: int) -> list[int]:
        """Choose at most `k` rows.

        Args:
            profile: rows of the user's past reviews, oldest first.
            k: how many at most.

        Returns:
            The chosen rows, newest first.
        """


class Recency:
    """The most recent ones (Table 8: the best of the four strategies that the paper compares)."""

    kind = "recency"

    @dataclass
    class Config:
        """Nothing to choose."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()

    def __call__(self, profile: Sequence[int], k: int) -> list[int]:
        """The last `k` rows, newest first."""
        return list(profile[::-1][:k])


RETRIEVERS: dict[str, Any] = {retriever.kind: retriever for retriever in (Recency,)}
