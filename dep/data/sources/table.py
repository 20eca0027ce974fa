"""Source that reads CSV, JSON lines or Parquet files with one review a row; the user names the columns.

    user item text     [rating title time]     [item_title item_description category]

Columns in brackets may be absent. The title and description of an item stand in columns beside its reviews.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from dep.data.sources import files, table_files
from dep.data.sources.row_log import RowLog
from dep.data.sources.values import name, review, string, without_html
from dep.types import Corpus, Item, Review
from dep.utils.errors import DepError
from dep.utils.hashing import json_digest
from dep.utils.registry import ComponentConfig

FIELDS = ("user", "item", "text", "rating", "title", "time", "item_title", "item_description", "category")
NEEDED = ("user", "item", "text")
_PEEK = 100
"""How many rows show which columns a table has; a JSON row may leave some out."""
_YEAR = re.compile(r"((?:19|20)\d\d)(?:\.0)?")


class TableSource:
    """Reads reviews from one table, which is one file or several."""

    kind = "table"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """The files, and the names of their columns."""

        kind: Literal["table"] = "table"
        folder: str = ""
        """The folder that `path` starts from; empty for the current one."""
        path: str
        """The file: .csv, .tsv, .jsonl, .json or .parquet. All but Parquet may be compressed (.gz, .xz). A folder or
        a pattern (`part-*.parquet`) names several such files, which are read in the order of their names."""
        columns: dict[str, str] = field(default_factory=dict)
        """The file's column for each field whose column has another name than the field; an empty name leaves the field
        out. The fields are user, item, text, rating, title, time, item_title, item_description and category.
        `dep validate` guesses them."""
        category: str = "Reviews"
        """The category of reviews that name none."""
        time_unit_ms: int = 1000
        """Milliseconds in a unit of the time column, if its values are numbers: 1000 for seconds. Dates and years need
        no unit."""
        rating_max: float = 5.0
        """The highest possible rating; the lowest is 1. Ratings are rescaled to the range 1 to 5. A rating above the
        highest counts as missing."""
        strip_html: bool = False
        """Whether HTML tags and entities are removed from texts and titles."""
        delimiter: str = ""
        """The delimiter of a CSV file; empty: the one of `,`, `;`, tab and `|` that splits the header into most
        columns."""
        skip_broken: bool = False
        """Whether broken lines of a JSON file are counted and left out; if not, the first one is an error."""

    def __init__(self, config: Config) -> None:
        unknown = sorted(set(config.columns) - set(FIELDS))
        if unknown:
            raise DepError("source.columns", f"fields of {', '.join(FIELDS)}", ", ".join(unknown), "rename them")
        self.config = config
        self.notes: list[str] = []
        self.logs: list[RowLog] = []
        """A log for each file that `load` read."""
        self.columns: dict[str, str] = {}
        """The column of each field that the table has; `load` fills it."""
        self.unused: list[str] = []
        """Columns that are no field; `load` fills it."""
        self._column = {field: config.columns.get(field, field) for field in FIELDS}

    def fingerprint(self) -> str:
        """Return the SHA-256 of the files' names, sizes and contents, and of the settings by which they are read."""
        settings = {key: value for key, value in asdict(self.config).items() if key not in ("folder", "path")}
        return json_digest([files.digest(self.paths()), settings])

    def paths(self) -> list[Path]:
        """Return the files.

        Raises:
            MissingFile: there is none.
            DepError: they are no tables of one format.
        """
        return table_files.find(self.config.folder, self.config.path)

    def load(self) -> dict[str, Corpus]:
        """Read all usable reviews by category, sorted by (user, time, item).

        Raises:
            MissingFile: there is no such file.
            DepError: a file lacks a column for user, item or text, or no review has all three.
        """
        paths = self.paths()
        self.notes.clear()
        self.logs[:] = [RowLog(path.name) for path in paths]
        self.columns, self.unused = {}, []
        reviews: dict[str, list[Review]] = {}
        items: dict[str, dict[str, Item]] = {}
        order = 0
        for path, log in zip(paths, self.logs, strict=True):
            self._check(path)
            for row in table_files.rows(path, log, self.config.delimiter, self.config.skip_broken):
                order += 1
                found = self._review(row, order, log)
                if found is None:
                    continue
                category = name(self._value(row, "category")) or self.config.category
                reviews.setdefault(category, []).append(found)
                title, about = (self._text(row, field) for field in ("item_title", "item_description"))
                files.add_item(items.setdefault(category, {}), Item(found.item, title, about))
        if not reviews:
            total = sum(log.rows for log in self.logs)
            reasons = [reason for log in self.logs for reason, _ in log.by_count()]
            raise DepError(
                str(paths[0]), "reviews with user, item and text",
                f"{total:,} rows that {reasons[0]}" if reasons else "no rows", "see docs/own-data.md",
            )  # fmt: skip
        self.notes += [note for log in self.logs for note in log.notes()]
        for category, rows in sorted(reviews.items()):
            self.notes += files.unrated(category, rows, scale="")
        return {category: files.corpus(category, rows, items[category]) for category, rows in sorted(reviews.items())}

    def _check(self, path: Path) -> None:
        """Find the columns of a file.

        Raises:
            DepError: a column is missing that is needed.
        """
        first = table_files.peek(path, _PEEK, self.config.delimiter, self.config.skip_broken)
        present = list(dict.fromkeys(key for row in first for key in row))
        missing = [field for field in NEEDED if self._column[field] not in present]
        if missing and first:
            raise DepError(
                str(path), f"columns for {', '.join(NEEDED)}", table_files.named(present),
                f"name the column, as source.columns.{missing[0]}={present[0]}; `dep validate {path}` guesses them",
            )  # fmt: skip
        self.columns |= {field: column for field, column in self._column.items() if column and column in present}
        self.unused += [c for c in present if c not in self._column.values() and c not in self.unused]

    def _value(self, row: dict[str, Any], field: str) -> Any:
        column = self._column[field]
        return row.get(column) if column else None

    def _text(self, row: dict[str, Any], field: str) -> str:
        text = string(self._value(row, field))
        return without_html(text) if self.config.strip_html else text

    def _review(self, row: dict[str, Any], order: int, log: RowLog) -> Review | None:
        # without a time, the order of the file is the order of the reviews
        timed = "time" in self.columns
        return review(
            self._value(row, "user"), self._value(row, "item"), self._text(row, "text"), self._rating(row),
            self._text(row, "title"), self._time(row) if timed else order,
            ms=self.config.time_unit_ms if timed else 1000, log=log,
        )  # fmt: skip

    def _time(self, row: dict[str, Any]) -> Any:
        """Return the time as written, or the first day of a year."""
        value = self._value(row, "time")
        year = _YEAR.fullmatch(str(value).strip())
        return f"{year[1]}-01-01" if year else value

    def _rating(self, row: dict[str, Any]) -> float | None:
        """Return the rating on a scale from 1 to 5; None if it is missing or not a number."""
        value, highest = self._value(row, "rating"), self.config.rating_max
        try:
            rating = float(value.replace(",", ".") if isinstance(value, str) else value)
        except (TypeError, ValueError):
            return None
        return 1 + (rating - 1) * 4 / (highest - 1) if highest != 5 else rating
