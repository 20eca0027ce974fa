"""The interface that every source of raw reviews implements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from dep.types import Corpus, Example

if TYPE_CHECKING:
    from dep.data.synthetic.trait_probe import TraitRow
    from dep.data.vectors.store import Vectors


class Source(Protocol):
    """Reads raw reviews by category, before any filter.

    A source may have an attribute `notes`: sentences that tell the user what `load` left out or could not use; and
    `logs`: a `RowLog` for each file that `load` read.
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


@runtime_checkable
class PlantedSource(Source, Protocol):
    """A world whose users have known traits."""

    def planted(self, corpora: Mapping[str, Corpus], vectors: Mapping[str, Vectors]) -> list[TraitRow]:
        """Measure how well each kind of vector shows the traits of the author of a review."""
