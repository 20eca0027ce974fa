"""The protocol of sources of raw reviews."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from dep.types import Corpus, Example


class Source(Protocol):
    """Raw reviews by category, before any filter.

    A source may have `notes`: sentences for the user about rows that `load` left out or could not use; and `logs`: a
    `RowLog` for each file that `load` read.
    """

    kind: str

    def load(self) -> dict[str, Corpus]:
        """Read all usable reviews of all categories, sorted by (user, time, item)."""

    def fingerprint(self) -> str:
        """SHA-256 of the content that `load` reads, whatever the folder is called."""


@runtime_checkable
class PresplitSource(Source, Protocol):
    """A source that is published filtered and split."""

    def examples(self) -> list[Example]:
        """All published examples; their rows index the reviews of `load()`."""
