"""Source that reads a CSV, JSON lines or Parquet file with one review a line; the user names the columns.

    user item text     [rating title time]     [item_title item_description category]

Columns in brackets may be absent. The title and description of an item stand in columns beside its reviews.
"""

from __future__ import annotations

import csv
import html
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dep.data.sources import files
from dep.data.sources.rows import parquet_rows, records, uncompressed
from dep.data.sources.values import name, review, string
from dep.types import Corpus, Item, Review
from dep.utils.errors import DepError, MissingFile
from dep.utils.registry import ComponentConfig

FIELDS = ("user", "item", "text", "rating", "title", "time", "item_title", "item_description", "category")
_NEEDED = ("user", "item", "text")
_TAGS = re.compile(r"<br\s*/?>|</p>", re.IGNORECASE), re.compile(r"<[^<>]*>")


class TableSource:
    """Reads reviews from one file."""

    kind = "table"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """The file, and the names of its columns."""

        kind: Literal["table"] = "table"
        path: str
        """The file: .csv, .tsv, .jsonl, .json or .parquet. All but Parquet may be compressed (.gz, .xz)."""
        columns: dict[str, str] = field(default_factory=dict)
        """The file's column for each field whose column has another name than the field. The fields are user, item,
        text, rating, title, time, item_title, item_description and category."""
        category: str = "Reviews"
        """The category of reviews that name none."""
        time_unit_ms: int = 1000
        """Milliseconds in a unit of the time column, if its values are numbers: 1000 for seconds. Dates need no
        unit."""
        rating_max: float = 5.0
        """The highest possible rating; the lowest is 1. Ratings are rescaled to the range 1 to 5."""
        strip_html: bool = False
        """Whether HTML tags and entities are removed from texts and titles."""

    def __init__(self, config: Config) -> None:
        unknown = sorted(set(config.columns) - set(FIELDS))
        if unknown:
            raise DepError("source.columns", f"fields of {', '.join(FIELDS)}", ", ".join(unknown), "rename them")
        self.config = config
        self.notes: list[str] = []
        self._column = {field: config.columns.get(field, field) for field in FIELDS}

    def fingerprint(self) -> str:
        """Return the SHA-256 of the file's name, size and content."""
        return files.digest([self._path()])

    def load(self) -> dict[str, Corpus]:
        """Read all usable reviews by category, sorted by (user, time, item).

        Raises:
            MissingFile: there is no such file.
            DepError: the file lacks a column for user, item or text, or no review has all three.
        """
        self.notes.clear()
        path, skipped, total = self._path(), Counter[str](), 0
        reviews: dict[str, list[Review]] = {}
        items: dict[str, dict[str, Item]] = {}
        for total, row in enumerate(_rows(path), 1):
            if total == 1:
                self._check(path, row)
            found = self._review(row, total, skipped)
            if found is None:
                continue
            category = name(self._value(row, "category")) or self.config.category
            reviews.setdefault(category, []).append(found)
            title, about = (self._text(row, field) for field in ("item_title", "item_description"))
            files.add_item(items.setdefault(category, {}), Item(found.item, title, about))
        if not reviews:
            raise DepError(
                str(path), "reviews with user, item and text", f"none in {total:,} rows", "see docs/own-data.md"
            )
        self._note(path, reviews, skipped, total)
        return {category: files.corpus(category, rows, items[category]) for category, rows in sorted(reviews.items())}

    def _path(self) -> Path:
        path = Path(self.config.path)
        if not path.is_file():
            raise MissingFile(str(path), "a file of reviews", files.listing(path.parent), "set source.path")
        return path

    def _check(self, path: Path, row: dict[str, Any]) -> None:
        missing = [field for field in _NEEDED if self._column[field] not in row]
        if missing:
            raise DepError(
                str(path), f"columns for {', '.join(_NEEDED)}", ", ".join(map(str, row)),
                f"name the column, as source.columns.{missing[0]}={next(iter(row), 'column')}",
            )  # fmt: skip

    def _value(self, row: dict[str, Any], field: str) -> Any:
        return row.get(self._column[field])

    def _text(self, row: dict[str, Any], field: str) -> str:
        text = string(self._value(row, field))
        if self.config.strip_html:
            for tag, space in zip(_TAGS, (" ", ""), strict=True):
                text = tag.sub(space, text)
            text = html.unescape(text).strip()
        return text

    def _review(self, row: dict[str, Any], number: int, skipped: Counter[str]) -> Review | None:
        rating, highest = self._value(row, "rating"), self.config.rating_max
        if highest != 5:
            try:
                rating = 1 + (float(rating) - 1) * 4 / (highest - 1)
            except (TypeError, ValueError):
                rating = None
        # without a time, the order of the file is the order of the reviews
        time = self._value(row, "time") if self._column["time"] in row else number
        return review(
            self._value(row, "user"), self._value(row, "item"), self._text(row, "text"), rating,
            self._text(row, "title"), time, ms=self.config.time_unit_ms, skipped=skipped,
        )  # fmt: skip

    def _note(self, path: Path, reviews: dict[str, list[Review]], skipped: Counter[str], total: int) -> None:
        for absent, count in skipped.most_common():
            self.notes.append(f"{count:,} of {total:,} rows of {path.name} have no {absent} and are left out")
        for category, rows in sorted(reviews.items()):
            self.notes += files.unrated(category, rows, scale="")


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    suffixes = [suffix for suffix in path.suffixes if suffix not in (".gz", ".xz")]
    kind = suffixes[-1] if suffixes else ""
    if kind in (".json", ".jsonl"):
        yield from records(path)
    elif kind == ".parquet":
        yield from parquet_rows(path)
    elif kind in (".csv", ".tsv"):
        csv.field_size_limit(1 << 30)
        with path.open("rb") as raw:
            lines = io.TextIOWrapper(uncompressed(path, raw), encoding="utf-8-sig", newline="")
            try:
                yield from csv.DictReader(lines, delimiter="\t" if kind == ".tsv" else ",")
            except (UnicodeDecodeError, csv.Error, EOFError, OSError) as error:
                raise DepError(str(path), "a CSV file in UTF-8", str(error), "convert it, or fetch it again") from error
    else:
        raise DepError(
            str(path), "a .csv, .tsv, .jsonl, .json or .parquet file", path.suffix or "no ending", "convert it"
        )
