"""The protocol of sources of raw reviews."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from dep.types import Corpus, Example

if TYPE_CHECKING:
    from dep.data.synthetic.trait_probe import TraitRow
    from dep.data.vectors.store import Vectors


class Source(Protocol):
    """Raw reviews by category, before any filter.

    A source may have `notes`: sentences for the user about rows that `load` left out or could not use.
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


@runtime_checkable
class PlantedSource(Source, Protocol):
    """A world whose users have known traits."""

    def planted(self, corpora: Mapping[str, Corpus], vectors: Mapping[str, Vectors]) -> list[TraitRow]:
        """How well each kind of vector tells the traits of a review's author."""
