"""What every source is: where raw reviews come from."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from dep.types import Corpus, Example


class Source(Protocol):
    """Raw reviews by category, before any filter."""

    kind: str

    def load(self) -> dict[str, Corpus]:
        """Every usable review of every category, sorted by (user, time, item)."""

    def fingerprint(self) -> str:
        """A SHA-256 of the content that `load` reads, whatever the folder is called."""


@runtime_checkable
class PresplitSource(Source, Protocol):
    """A source that was filtered and split by those who published it."""

    def examples(self) -> list[Example]:
        """Every published example, its rows those of `load()`."""
