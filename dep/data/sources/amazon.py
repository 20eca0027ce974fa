"""The code that the loaders of all Amazon releases share.

`Amazon` finds the files, reads the reviews and adds the metadata of their items. Each release is a subclass, which
gives the names of its files and columns, and turns an entry of its metadata into an item.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

from dep.data.sources import files, values
from dep.data.sources.row_log import RowLog
from dep.data.sources.rows import records
from dep.types import Corpus, Item, Review
from dep.utils.errors import DepError, MissingFile
from dep.utils.hashing import json_digest


class Columns(NamedTuple):
    """The column of each field in a release. `item` may have several names; the first that has a value is read."""

    user: str
    item: tuple[str, ...]
    text: str
    rating: str
    title: str
    time: str


class AmazonSettings(Protocol):
    """The settings that all releases have."""

    folder: str
    categories: list[str]
    strip_html: bool


class Amazon:
    """Loader of one release from a local folder; the base class of all releases.

    Args:
        config: the folder, and the categories to read; an empty list reads all in the folder.
    """

    release: ClassVar[str]
    """The year of the release, which messages show."""
    columns: ClassVar[Columns]
    time_unit_ms: ClassVar[int] = 1
    """Milliseconds per unit of the time column."""
    reviews_glob: ClassVar[str]
    reviews_shown: ClassVar[str]
    """The form of a review file's name, which messages show."""
    metadata_required: ClassVar[bool]
    rule: ClassVar[tuple[str, ...]] = ()
    """Fields of the metadata that must not be empty: an item that leaves one empty is treated as having no metadata."""

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
        """Return the SHA-256 of the files' names and contents, and of how their texts are read."""
        digest = files.digest(path for paths in self._paths().values() for path in paths if path)
        return json_digest([digest, "strip_html"]) if self.config.strip_html else digest

    def category_of(self, file_name: str) -> str | None:
        """Return the category that a file's name gives, or None if the name is not that of a review file."""
        raise NotImplementedError

    def review_names(self, category: str) -> tuple[str, ...]:
        """Return the names that a category's review file may have, without `.gz`."""
        raise NotImplementedError

    def metadata_name(self, category: str) -> str:
        """Return the name of a category's metadata file, without `.gz`."""
        raise NotImplementedError

    def item(self, name: str, row: dict[str, Any]) -> Item:
        """Turn an entry of the metadata file into an item."""
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
                row.get(c.user), item, self.text(row.get(c.text)), row.get(c.rating), self.text(row.get(c.title)),
                row.get(c.time), ms=self.time_unit_ms, log=log,
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

    def text(self, value: Any) -> Any:
        """Return a field of text without HTML if that is asked for, else as it is."""
        return values.without_html(values.string(value)) if self.config.strip_html else value

    def _items(self, category: str, path: Path, names: set[str]) -> dict[str, Item]:
        """Read the metadata of the items in `names`; several entries of one item are merged."""
        items: dict[str, Item] = {}
        empty: dict[str, set[str]] = {}
        filled: set[str] = set()
        first: dict[str, Any] = {}
        for row in records(path):
            first = first or row
            item = values.name(next((row[field] for field in self.columns.item if row.get(field)), None))
            if item in names:
                files.add_item(items, self.item(item, row))
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
            without = sum(not getattr(item, field) for item in used.values())
            if used and without == len(used):
                self.notes.append(f"{category}: none of {without:,} items in {path.name} has a {field}")
            elif without:
                self.notes.append(f"{category}: {without:,} of {len(used):,} items in {path.name} have no {field}")
        return used
