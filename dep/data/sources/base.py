"""The interface that every source of raw reviews implements."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from dep.types import Corpus, Example


class Source(Protocol):
    """Reads raw reviews by category, before any filter.

    A source may have an attribute `notes`: sentences that tell the user what `load` left out or could not use.
    """

    kind: str

    def load(self) -> dict[str, Corpus]:
        """Read all usable reviews of all categories, sorted by (user, time, item)."""

    def fingerprint(self) -> str:
        """Return the SHA-256 of the content that `load` reads; the folder's name does not enter it."""


@runtime_checkable
class PresplitSource(Source, Protocol):
    """A source whose publisher has already filtered and split it."""

    def examples(self) -> list[Example]:
        """Return all published examples; the rows in them are positions in the reviews that `load()` returns."""
