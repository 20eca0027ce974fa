"""Rows of a review file: JSON lines as published, and what people make of them.

Read as well: gzip and xz, a byte order mark, Python literals, commas at the ends of lines, and a whole file that is one
JSON array. Anything else is refused with file, line and what was expected, or counted and passed over on request.
"""

from __future__ import annotations

import ast
import gzip
import io
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from dep.data.sources.row_log import RowLog
from dep.utils.errors import DepError
from dep.utils.progress import stage

_BAR_FROM_BYTES = 16 * 2**20
_WHOLE_UP_TO = 1 << 30
"""Largest file, in bytes on disk, that is read as one JSON array."""
_EXPECTED = "one JSON object a line, as {...}"
BROKEN = "are broken"
"""The reason of a refused line that is no row."""


def records(
    path: Path, log: RowLog | None = None, skip_broken: bool = False, bar: bool = True
) -> Iterator[dict[str, Any]]:
    """Read the rows of a file.

    Args:
        path: the file.
        log: counts the rows, and holds the line number of the current one.
        skip_broken: whether `log` counts a line that is no row as refused, where it would be an error otherwise.
        bar: whether a large file has a progress bar.

    Raises:
        DepError: a line is no row, or the file is damaged or not UTF-8; names file and line.
    """
    log = log if log is not None else RowLog(path.name)
    number = 0
    with reading(path, bar) as (lines, report):
        try:
            for number, line in enumerate(lines, 1):
                report(number)
                log.line = number
                begins_array = line.lstrip().startswith("[") or line.strip() == "{"
                if number == 1 and begins_array and path.stat().st_size <= _WHOLE_UP_TO:
                    for log.line, row in enumerate(_array(path, line + lines.read()), 1):
                        log.rows += 1
                        yield row
                    break
                try:
                    rows = _rows(path, number, line)
                except DepError:
                    if not skip_broken:
                        raise
                    log.rows += 1
                    log.refuse(BROKEN)
                    continue
                for row in rows:
                    log.rows += 1
                    yield row
        except UnicodeDecodeError as error:
            raise not_utf8(path, number, error) from error


@contextmanager
def reading(path: Path, bar: bool = True) -> Iterator[tuple[IO[str], Callable[[int], None]]]:
    """Open a text file, compressed or not, with a progress bar if it is large and `bar` says so.

    Yields:
        The open file, and a function that moves the bar now and then; it takes the number of the current line.

    Raises:
        DepError: the compressed file is damaged.
    """
    size = path.stat().st_size
    done = number = 0
    with ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        lines = io.TextIOWrapper(uncompressed(path, raw), encoding="utf-8-sig", newline="")
        advance = stack.enter_context(stage(f"reading {path.name}", size, show=bar and size > _BAR_FROM_BYTES))

        def report(at: int) -> None:
            nonlocal done, number
            number = at
            if at % 4096 == 0:
                advance(raw.tell() - done)
                done = raw.tell()

        try:
            yield lines, report
        except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
            raise DepError(
                f"{path}, after line {number}", "a whole compressed file", f"a damaged one ({error})",
                "fetch the file again",
            ) from error  # fmt: skip
        advance(size - done)


def not_utf8(path: Path, line: int, error: UnicodeDecodeError) -> DepError:
    """The error for a file that is not UTF-8."""
    where = f"{path}, after line {line}" if line else str(path)
    return DepError(where, "text in UTF-8", f"the byte 0x{error.object[error.start]:02x}", _conversion(path))


def _conversion(path: Path) -> str:
    """What to do with a file that is not UTF-8, by its first bytes."""
    with path.open("rb") as raw:
        begin = raw.read(6)
    for magic, ending in ((b"\x1f\x8b", ".gz"), (b"\xfd7zXZ", ".xz")):
        if begin.startswith(magic):
            return f"it is compressed: name it {path.name}{ending}"
    encoding = "utf-16" if begin[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin1"
    return f"convert it, as by `iconv -f {encoding} -t utf-8 {path.name}`"


def uncompressed(path: Path, raw: IO[bytes]) -> IO[bytes]:
    """The content of a file, decompressed if its name ends in .gz or .xz."""
    if path.suffix == ".gz":
        return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]
    return lzma.LZMAFile(raw) if path.suffix == ".xz" else raw


def _rows(path: Path, number: int, line: str) -> list[dict[str, Any]]:
    """The rows of a line: none for an empty one, several for an array."""
    text = line.strip().rstrip(",").rstrip()
    if not text or text in ("[", "]"):
        return []
    value = _parsed(path, number, text)
    rows = value if isinstance(value, list) else [value]
    for row in rows:
        if not isinstance(row, dict):
            raise DepError(f"{path}, line {number}", _EXPECTED, f"a {type(row).__name__}", "mend or remove the line")
    return rows


def _parsed(path: Path, number: int, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at column {error.colno}"
    except ValueError as error:  # a number of thousands of digits
        reason = str(error)
    except RecursionError:
        reason = "values nested too deeply"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        shown = text if len(text) <= 60 else f"{text[:57]}..."
        raise DepError(
            f"{path}, line {number}", _EXPECTED, f"{shown!r} ({reason})", "mend or remove the line"
        ) from None


def _array(path: Path, text: str) -> list[dict[str, Any]]:
    """The rows of a file that is one JSON array or that spreads objects over lines."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise DepError(str(path), _EXPECTED, "values nested too deeply", "mend the file") from None
    except json.JSONDecodeError as error:
        lines = [row for at, line in enumerate(text.splitlines(), 1) for row in _rows(path, at, line)]
        if lines:
            return lines
        raise DepError(f"{path}, line {error.lineno}", _EXPECTED, error.msg, "mend the line") from error
    rows = value if isinstance(value, list) else [value]
    if not all(isinstance(row, dict) for row in rows):
        raise DepError(str(path), "a JSON array of objects", "other values in it", "write one JSON object a line")
    return rows
