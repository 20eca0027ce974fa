"""The loader that the Amazon releases share: find the files, read reviews by a column map, join the items.

A release is a subclass that names its file patterns, its columns, and how it reads a row of metadata.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

from dep.data.sources import files
from dep.types import Corpus, Item
from dep.utils.errors import MissingFile


class Columns(NamedTuple):
    """Names of a release's columns; of several names, the first that a row fills is read."""

    user: str
    item: tuple[str, ...]
    text: str
    rating: str
    title: str
    time: str


class AmazonSettings(Protocol):
    """What every release's settings hold."""

    folder: str
    categories: list[str]


class Amazon:
    """Reviews of one release from a local folder.

    Args:
        config: the folder, and the categories to read (empty: all in the folder).
    """

    release: ClassVar[str]
    """Year of the release, for messages."""
    columns: ClassVar[Columns]
    time_unit_ms: ClassVar[int] = 1
    """Milliseconds per unit of the time column."""
    reviews_glob: ClassVar[str]
    reviews_shown: ClassVar[str]
    """Name of a review file, for messages."""
    metadata_required: ClassVar[bool]

    def __init__(self, config: AmazonSettings) -> None:
        self.config = config

    def load(self) -> dict[str, Corpus]:
        """Every usable review of every category, sorted by (user, time, item)."""
        return {category: self._corpus(category, *paths) for category, paths in self._paths().items()}

    def fingerprint(self) -> str:
        """SHA-256 of the files' names and contents."""
        return files.digest(path for paths in self._paths().values() for path in paths if path)

    def category_of(self, file_name: str) -> str | None:
        """The category of a review file by its name, or None if it is another file."""
        raise NotImplementedError

    def review_names(self, category: str) -> tuple[str, ...]:
        """Names that the review file of a category may have, without `.gz`."""
        raise NotImplementedError

    def metadata_name(self, category: str) -> str:
        """Name of the metadata file of a category, without `.gz`."""
        raise NotImplementedError

    def parse_metadata(self, line: str) -> Any:
        """The value of a line of metadata."""
        return json.loads(line)

    def item(self, row: dict[str, Any]) -> Item | None:
        """The item of a row of metadata; None if the release's rule drops it."""
        raise NotImplementedError

    def _paths(self) -> dict[str, tuple[Path, Path | None]]:
        folder = Path(self.config.folder)
        help_text = f"Files of the {self.release} release go into the folder that the source's `folder` names"
        names = (path.name for path in folder.glob(self.reviews_glob))
        categories = self.config.categories or sorted({c for name in names if (c := self.category_of(name))})
        if not categories:
            raise MissingFile(f"{folder}: expected {self.reviews_shown}; {files.listing(folder)}. {help_text}")
        paths: dict[str, tuple[Path, Path | None]] = {}
        for category in categories:
            reviews = files.find(folder, self.review_names(category), help_text)
            name = self.metadata_name(category)
            present = any((folder / f"{name}{suffix}").is_file() for suffix in ("", ".gz"))
            wanted = self.metadata_required or present
            paths[category] = reviews, files.find(folder, (name,), help_text) if wanted else None
        return paths

    def _corpus(self, category: str, reviews_path: Path, metadata_path: Path | None) -> Corpus:
        c = self.columns
        reviews = []
        for row in files.records(reviews_path):
            item = next((row[name] for name in c.item if row.get(name)), None)
            review = files.review(
                row.get(c.user), item, row.get(c.text), row.get(c.rating), row.get(c.title), row.get(c.time),
                ms=self.time_unit_ms,
            )  # fmt: skip
            if review:
                reviews.append(review)
        names = {review.item for review in reviews}
        items = {}
        for row in files.records(metadata_path, parse=self.parse_metadata) if metadata_path else ():
            if row.get(c.item[0]) in names and (found := self.item(row)) is not None:
                items[found.item] = found
        return files.corpus(category, reviews, items)
