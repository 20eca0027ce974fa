"""Reads the entries of a review file, which holds one JSON object on each line, or is a Parquet file.

Variants of this format are read too: files compressed with gzip or xz, a byte order mark, Python literals, commas at
the ends of lines, a file that is one JSON array, and JSON objects that extend over several lines, one after another.
Anything else raises an error that names the file and the line, or is counted and left out on request.
"""

from __future__ import annotations

import ast
import gzip
import io
import json
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from dep.data.sources.row_log import RowLog
from dep.utils.errors import DepError
from dep.utils.progress import stage

_BAR_FROM_BYTES = 16 * 2**20
_BAR_FROM_ROWS = 100_000
_WHOLE_UP_TO = 1 << 30
"""A file above this size in bytes is not read as one text, as arrays and objects that extend over lines are."""
_GAP = re.compile(r"[\s,]*")
_EXPECTED = "one JSON object a line, as {...}"
_NEXT = re.compile(r"^\{", re.MULTILINE)
"""Where reading goes on after a broken object that extends over lines: at the next line that begins with a brace."""
BROKEN = "are broken"
"""The reason for which `RowLog` counts what is no entry."""


def records(
    path: Path, log: RowLog | None = None, skip_broken: bool = False, bar: bool = True
) -> Iterator[dict[str, Any]]:
    """Yield the entries of a file.

    Args:
        path: the file.
        log: counts the entries, and holds the line number of the current one.
        skip_broken: whether `log` counts a line that is no entry as refused; otherwise such a line is an error.
        bar: whether a large file has a progress bar.

    Raises:
        DepError: a line is no entry, or the file is damaged or not in UTF-8; the message names file and line.
    """
    log = log if log is not None else RowLog(path.name)
    with reading(path, bar) as (lines, report):
        try:
            for row in _entries(path, lines, report, log, skip_broken):
                log.rows += 1
                yield row
        except UnicodeDecodeError as error:
            raise not_utf8(path, log.line, error) from error


def _entries(
    path: Path, lines: IO[str], report: Callable[[int], None], log: RowLog, skip_broken: bool
) -> Iterator[dict[str, Any]]:
    small, begun = path.stat().st_size <= _WHOLE_UP_TO, False
    for number, line in enumerate(lines, 1):
        report(number)
        log.line = number
        if not begun and line.strip():
            begun = True
            if small and _continues(path, line):
                yield from _whole_text(path, line + lines.read(), log, skip_broken)
                return
        yield from _rows_or_refusal(path, line, log, skip_broken)


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
    """Return the error for a file that is not in UTF-8, which says how to convert it."""
    where = f"{path}, after line {line}" if line else str(path)
    return DepError(where, "text in UTF-8", f"the byte 0x{error.object[error.start]:02x}", _conversion(path))


def _conversion(path: Path) -> str:
    """Say how to convert a file that is not in UTF-8; its first bytes show which encoding it has."""
    with path.open("rb") as raw:
        begin = raw.read(6)
    for magic, ending in ((b"\x1f\x8b", ".gz"), (b"\xfd7zXZ", ".xz")):
        if begin.startswith(magic):
            return f"it is compressed: name it {path.name}{ending}"
    encoding = "utf-16" if begin[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin1"
    return f"convert it, as by `iconv -f {encoding} -t utf-8 {path.name}`"


def uncompressed(path: Path, raw: IO[bytes]) -> IO[bytes]:
    """Return the content of a file, decompressed if its name ends in .gz or .xz."""
    if path.suffix == ".gz":
        return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]
    return lzma.LZMAFile(raw) if path.suffix == ".xz" else raw


def _rows_or_refusal(path: Path, line: str, log: RowLog, skip_broken: bool) -> list[dict[str, Any]]:
    """Parse a line as `_rows` does; with `skip_broken`, a broken line is counted and holds none."""
    try:
        return _rows(path, log.line, line)
    except DepError:
        if not skip_broken:
            raise
        _refuse(log)
        return []


def _refuse(log: RowLog) -> None:
    log.rows += 1
    log.refuse(BROKEN)


def _rows(path: Path, number: int, line: str) -> list[dict[str, Any]]:
    """Parse a line into entries: an empty line holds none, an array several."""
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


def _continues(path: Path, line: str) -> bool:
    """Whether a file's first line begins an array, or an object that goes on in the next line."""
    begin = line.lstrip()
    if not begin.startswith("{"):
        return begin.startswith("[")
    try:
        _rows(path, 1, line)
    except DepError:
        return True
    return False


def _whole_text(path: Path, text: str, log: RowLog, skip_broken: bool) -> Iterator[dict[str, Any]]:
    """Yield the entries of a text that begins at the log's line: one JSON array, or one object after another."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise DepError(str(path), _EXPECTED, "values nested too deeply", "mend the file") from None
    except ValueError:
        if text.lstrip().startswith("["):
            for line in text.split("\n"):
                yield from _rows_or_refusal(path, line, log, skip_broken)
                log.line += 1
        else:
            yield from _objects(path, text, log, skip_broken)
    else:
        log.unit, log.line = "row", 0
        for row in _array(path, value):
            log.line += 1
            yield row


def _array(path: Path, value: Any) -> list[dict[str, Any]]:
    rows = value if isinstance(value, list) else [value]
    if not all(isinstance(row, dict) for row in rows):
        raise DepError(str(path), "a JSON array of objects", "other values in it", "write one JSON object a line")
    return rows


def _objects(path: Path, text: str, log: RowLog, skip_broken: bool) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a text, one after another, with white space or a comma between them."""
    decoder, at, counted = json.JSONDecoder(), 0, 0
    while (begin := _GAP.match(text, at)) and (at := begin.end()) < len(text):
        log.line += text.count("\n", counted, at)
        counted = where = at
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            reason, where = error.msg, error.pos
        except ValueError as error:  # a number of thousands of digits
            reason = str(error)
        except RecursionError:
            reason = "values nested too deeply"
        else:
            if isinstance(value, dict):
                yield value
                continue
            reason = f"a {type(value).__name__}"
        if not skip_broken:
            number = log.line + text.count("\n", counted, where)
            raise DepError(f"{path}, line {number}", _EXPECTED, reason, "mend or remove the object there")
        _refuse(log)
        following = _NEXT.search(text, counted + 1)
        at = following.start() if following else len(text)


def parquet_rows(path: Path, log: RowLog | None = None, bar: bool = True) -> Iterator[dict[str, Any]]:
    """Yield the rows of a Parquet file; arguments are those of `records`.

    Raises:
        DepError: the file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    log = log if log is not None else RowLog(path.name)
    log.unit = "row"
    try:
        with pq.ParquetFile(path) as file:
            total = file.metadata.num_rows
            with stage(f"reading {path.name}", total, show=bar and total > _BAR_FROM_ROWS) as advance:
                for batch in file.iter_batches():
                    for row in batch.to_pylist():
                        log.line = log.rows = log.rows + 1
                        yield row
                    advance(len(batch))
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DepError(
            str(path), "a whole Parquet file", f"a damaged one ({reason})", "fetch or write it again"
        ) from error
