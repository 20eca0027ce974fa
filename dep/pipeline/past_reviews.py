"""Counts the past reviews that requests or training examples asked for, and those that fitted into the prompts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dep.utils.atomic_io import read_json


class PastReviews(NamedTuple):
    """How many past reviews some requests asked for, and how many their prompts hold."""

    asked: int
    """Number of past reviews that the requests asked for."""
    kept: int
    """Number of past reviews in the prompts; the others did not fit."""
    requests: int
    """Number of requests that asked for at least one past review."""
    empty: int
    """Number of requests that asked for past reviews and whose prompts hold none."""

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> PastReviews:
        """Count the past reviews over the rows of predictions.jsonl, or over others with `asked` and `kept`."""
        pairs = [(row["asked"], row["kept"]) for row in rows if row.get("asked")]
        asked, kept = (sum(column) for column in zip(*pairs, strict=True)) if pairs else (0, 0)
        return cls(asked, kept, len(pairs), sum(not count for _, count in pairs))

    @classmethod
    def of_training(cls, folder: Path) -> PastReviews | None:
        """Counts over the training prompts of the adapter in an arm's folder; None if it has none or did not count."""
        counts = read_json(folder / "training.json").get("past_reviews")
        return cls(**counts) if counts else None

    def __str__(self) -> str:
        return f"past reviews: {self.shown}"

    @property
    def shown(self) -> str:
        """`8 asked for, 5 kept`."""
        return f"{self.asked:,} asked for, {self.kept:,} kept"

    def warning(self, name: str) -> str:
        """Return a warning if some prompts hold no past review, and so equal those of a method without history.

        It is empty if there is no such prompt.
        """
        if not self.empty:
            return ""
        return (
            f"{name}: {self.empty:,} of {self.requests:,} requests with past reviews keep none, as none fits into the "
            "prompt; raise prompt.max_input_tokens, or set prompt.max_review_tokens to cut long ones."
        )
