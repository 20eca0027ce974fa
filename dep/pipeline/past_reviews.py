"""Counts of the past reviews that requests, or training examples, asked for and that their prompts kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dep.utils.atomic_io import read_json


class PastReviews(NamedTuple):
    """Counts over some requests."""

    asked: int
    """Past reviews that the requests asked for."""
    kept: int
    """Past reviews in their prompts; the others did not fit."""
    requests: int
    """Requests that asked for at least one."""
    empty: int
    """Requests that asked for at least one and kept none."""

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> PastReviews:
        """Count over the rows of predictions.jsonl, or over others with `asked` and `kept`."""
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
        """A warning if some requests kept none, which makes their prompts those of a method without history."""
        if not self.empty:
            return ""
        return (
            f"{name}: {self.empty:,} of {self.requests:,} requests with past reviews keep none, as none fits into the "
            "prompt; raise prompt.max_input_tokens, or set prompt.max_review_tokens to cut long ones."
        )
