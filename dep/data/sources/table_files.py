"""Finds the files of a table of reviews and reads their rows: CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import glob
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from dep.data.sources import files
from dep.data.sources.row_log import RowLog
from dep.data.sources.rows import not_utf8, parquet_rows, reading, records
from dep.utils.errors import DepError, MissingFile

FORMATS = {
    ".csv": "CSV", ".tsv": "TSV", ".txt": "CSV", ".jsonl": "JSON lines", ".ndjson": "JSON lines", ".json": "JSON lines",
    ".parquet": "Parquet",
}  # fmt: skip
_COMPRESSED = (".gz", ".xz")
_DELIMITERS = ",;\t|"
_EXPECTED = "a .csv, .tsv, .jsonl, .json or .parquet file"
TOO_MANY = "have more fields than the header"
"""The reason of a refused row of a CSV file, in which a text with a delimiter has no quotes."""


def format_of(path: Path) -> str:
    """Return the format of a file by its name, as `CSV`; empty for another file."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix not in _COMPRESSED]
    return FORMATS.get(suffixes[-1], "") if suffixes else ""


def find(folder: str, path: str) -> list[Path]:
    """Return the files that a source's `folder` and `path` name.

    Args:
        folder: folder that `path` begins at; empty for the current one.
        path: a file, a folder of tables, or a pattern such as `part-*.parquet`.

    Raises:
        MissingFile: there is none.
        DepError: a folder has tables of several formats, or a file is no table by its name.
    """
    whole = Path(folder, path)
    if whole.is_file():
        found = [whole]
    elif whole.is_dir():
        found = [file for file in sorted(whole.iterdir()) if file.is_file() and format_of(file)]
    else:
        found = sorted(Path(file) for file in glob.glob(str(whole)) if Path(file).is_file())
    if not found:
        where = whole if whole.is_dir() else whole.parent
        raise MissingFile(str(whole), f"{_EXPECTED} of reviews", files.listing(where), "set source.path")
    if odd := [file for file in found if not format_of(file)]:
        raise DepError(str(odd[0]), _EXPECTED, odd[0].suffix or "no ending", "convert or rename it")
    formats = sorted({format_of(file) for file in found})
    if len(formats) > 1:
        raise DepError(str(whole), "tables of one format", " and ".join(formats), "name one, as source.path='*.csv'")
    return found


def rows(
    path: Path, log: RowLog, delimiter: str = "", skip_broken: bool = False, bar: bool = True
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file.

    Args:
        path: the file.
        log: counts the rows, and holds the line number of the current one.
        delimiter: of a CSV file; empty to take the one that splits the header into most columns.
        skip_broken: whether a broken line of JSON is counted and passed over, where it would be an error otherwise.
        bar: whether a large file has a progress bar.

    Raises:
        DepError: the file is damaged or not UTF-8, or a line is broken.
    """
    kind = format_of(path)
    if kind == "JSON lines":
        return records(path, log, skip_broken, bar)
    return parquet_rows(path, log, bar) if kind == "Parquet" else _csv(path, log, delimiter, bar)


def peek(path: Path, count: int, delimiter: str = "", skip_broken: bool = False) -> list[dict[str, Any]]:
    """Return the first rows of a file; the other arguments are those of `rows`."""
    return list(islice(rows(path, RowLog(path.name), delimiter, skip_broken, bar=False), count))


def named(columns: Sequence[str], limit: int = 12) -> str:
    """List the names of columns for a message: the first ones, and long ones cut."""
    shown = [(name if len(name) <= 30 else f"{name[:29]}…") or "(unnamed)" for name in map(str, columns[:limit])]
    more = f" and {len(columns) - limit} more" if len(columns) > limit else ""
    return ", ".join(shown) + more


def delimiter_of(path: Path) -> str:
    """Return the delimiter that splits the first line of a CSV file into most columns; the comma where none does."""
    try:
        with reading(path, bar=False) as (lines, _):
            header = lines.readline()
    except UnicodeDecodeError as error:
        raise not_utf8(path, 0, error) from error
    columns = {mark: len(next(csv.reader([header], delimiter=mark), [])) for mark in _DELIMITERS}
    return max(columns, key=lambda mark: columns[mark])


def _csv(path: Path, log: RowLog, delimiter: str, bar: bool) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(1 << 30)
    delimiter = delimiter or delimiter_of(path)
    with reading(path, bar) as (lines, report):
        try:
            reader = csv.DictReader(lines, delimiter=delimiter)
            before = reader.line_num if reader.fieldnames else 0
            for row in reader:
                log.line, before = before + 1, reader.line_num
                log.rows += 1
                report(log.rows)
                if row.pop(None, None):
                    log.refuse(TOO_MANY)
                    continue
                yield row
        except UnicodeDecodeError as error:
            raise not_utf8(path, log.line, error) from error
        except csv.Error as error:
            raise DepError(
                f"{path}, after line {log.line}", "CSV", str(error), "mend the line, or write the file again"
            ) from error
