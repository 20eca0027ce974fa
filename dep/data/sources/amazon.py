"""The loader that the Amazon releases share: find the files, read reviews by a column map, join the items.

A release is a subclass that names its file patterns, its columns, and how it reads a row of metadata.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

from dep.data.sources import files, values
from dep.data.sources.row_log import RowLog
from dep.data.sources.rows import records
from dep.types import Corpus, Item, Review
from dep.utils.errors import DepError, MissingFile


class Columns(NamedTuple):
    """Names of a release's columns; of several names, the first that a row has a value for is read."""

    user: str
    item: tuple[str, ...]
    text: str
    rating: str
    title: str
    time: str


class AmazonSettings(Protocol):
    """Settings of every release."""

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
    rule: ClassVar[tuple[str, ...]] = ()
    """Fields of metadata: an item that has one and leaves it empty counts as without metadata."""

    def __init__(self, config: AmazonSettings) -> None:
        self.config = config
        self.notes: list[str] = []
        self.logs: list[RowLog] = []
        self.unused: list[str] = []
        """Columns of the reviews that are no field; `load` fills it."""

    def load(self) -> dict[str, Corpus]:
        """Read all usable reviews of all categories, sorted by (user, time, item)."""
        self.notes.clear()
        self.logs.clear()
        self.unused.clear()
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

    def item(self, name: str, row: dict[str, Any]) -> Item:
        """The item of a row of metadata."""
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
        reviews = self._reviews(category, reviews_path)
        names = {review.item for review in reviews}
        items = self._items(category, metadata_path, names) if metadata_path else {}
        return files.corpus(category, reviews, items)

    def _reviews(self, category: str, path: Path) -> list[Review]:
        c, reviews = self.columns, []
        first: dict[str, Any] = {}
        log = RowLog(path.name)
        self.logs.append(log)
        for row in records(path, log):
            first = first or row
            item = next((row[name] for name in c.item if row.get(name)), None)
            review = values.review(
                row.get(c.user), item, row.get(c.text), row.get(c.rating), row.get(c.title), row.get(c.time),
                ms=self.time_unit_ms, log=log,
            )  # fmt: skip
            if review:
                reviews.append(review)
        total = log.rows
        used = {c.user, *c.item, c.text, c.rating, c.title, c.time}
        self.unused += [name for name in first if name not in used and name not in self.unused]
        if not reviews:
            found = f"{total} rows; the first has {', '.join(map(str, first)) or 'no fields'}" if total else "no rows"
            raise DepError(
                str(path), f"reviews with {c.user}, {' or '.join(c.item)}, {c.text} and {c.time}", found,
                "name the source that these files are of (source.kind), or rename the fields",
            )  # fmt: skip
        self.notes += [f"{category}: {note}" for note in log.notes()]
        self.notes += files.unrated(category, reviews)
        return reviews

    def _items(self, category: str, path: Path, names: set[str]) -> dict[str, Item]:
        """Items of the reviews by name, with the fields of several rows of one item joined."""
        items: dict[str, Item] = {}
        empty: dict[str, set[str]] = {}
        filled: set[str] = set()
        first: dict[str, Any] = {}
        for row in records(path):
            first = first or row
            item = values.name(next((row[field] for field in self.columns.item if row.get(field)), None))
            if item in names:
                items[item] = _joined(items.get(item), self.item(item, row))
                lacks = {field for field in self.rule if not row.get(field, True)}
                empty[item] = empty.get(item, lacks) & lacks
                filled |= {field for field in self.rule if row.get(field)}
        if first and not items:
            fields = ", ".join(map(str, first))
            raise DepError(
                str(path), f"rows of the reviewed items by {' or '.join(self.columns.item)}, as {sorted(names)[0]!r}",
                f"none; its first row has {fields}", "give the metadata of this category, or remove the file",
            )  # fmt: skip
        used = {name: item for name, item in items.items() if not empty[name] & filled}
        for field in self.rule:
            if field not in filled and any(field in lacks for lacks in empty.values()):
                self.notes.append(f"{category}: `{field}` is empty in all rows of {path.name}, so its rule is off")
        if dropped := len(items) - len(used):
            fields = " or ".join(f"`{field}`" for field in self.rule if field in filled)
            self.notes.append(f"{category}: {dropped:,} items count as without metadata, since {fields} is empty")
        if missing := len(names - items.keys()):
            self.notes.append(f"{category}: {missing:,} of {len(names):,} reviewed items are not in {path.name}")
        for field in ("title", "description"):
            if (without := sum(not getattr(item, field) for item in used.values())) and used:
                self.notes.append(f"{category}: {without:,} of {len(used):,} items in {path.name} have no {field}")
        return used


def _joined(earlier: Item | None, later: Item) -> Item:
    """One item of two rows: the later row's fields, and the earlier one's where the later has none."""
    if earlier is None:
        return later
    return Item(later.item, later.title or earlier.title, later.description or earlier.description)
