"""Where reviews come from: one file per source, all with the same two methods.

`SOURCES[kind]` is the class, `.Config` beside it its fields; `SOURCES[kind](config).load()` the raw corpora.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from dep.data.sources.amazon2014 import Amazon2014
from dep.data.sources.amazon2023 import Amazon2023
from dep.data.sources.dpl import DPL
from dep.data.sources.synthetic import SyntheticSource
from dep.types import Corpus, Example

__all__ = ["DPL", "SOURCES", "Amazon2014", "Amazon2023", "PresplitSource", "Source", "SyntheticSource"]


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


SOURCES: dict[str, Any] = {source.kind: source for source in (Amazon2014, Amazon2023, DPL, SyntheticSource)}
