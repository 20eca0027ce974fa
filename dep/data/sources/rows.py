"""Reads the entries of a review file, which holds one JSON object on each line, or is a Parquet file.

Variants of this format are read too: files compressed with gzip or xz, a byte order mark, Python literals, commas at
the ends of lines, a file that is one JSON array, and JSON objects that extend over several lines, one after another.
Anything else raises an error that names the file and the line.
"""

from __future__ import annotations

import ast
import gzip
import io
import json
import lzma
import re
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from dep.utils.errors import DepError
from dep.utils.progress import stage

_BAR_FROM_BYTES = 16 * 2**20
_WHOLE_UP_TO = 1 << 30
"""A file above this size in bytes is not read as one text, as arrays and objects that extend over lines are."""
_GAP = re.compile(r"[\s,]*")
_EXPECTED = "one JSON object a line, as {...}"


def records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the entries of a file.

    Raises:
        DepError: a line is no entry, or the file is damaged or not in UTF-8; the message names file and line.
    """
    size = path.stat().st_size
    done = number = 0
    with ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        lines = io.TextIOWrapper(uncompressed(path, raw), encoding="utf-8-sig")
        advance = stack.enter_context(stage(f"reading {path.name}", size, show=size > _BAR_FROM_BYTES))
        begun = False
        try:
            for number, line in enumerate(lines, 1):
                if number % 4096 == 0:
                    advance(raw.tell() - done)
                    done = raw.tell()
                if not begun and line.strip():
                    begun = True
                    if size <= _WHOLE_UP_TO and _continues(path, line):
                        yield from _whole_text(path, number, line + lines.read())
                        break
                yield from _rows(path, number, line)
        except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
            raise DepError(
                f"{path}, after line {number}", "a whole compressed file", f"a damaged one ({error})",
                "fetch the file again",
            ) from error  # fmt: skip
        except UnicodeDecodeError as error:
            raise DepError(
                f"{path}, after line {number}", "text in UTF-8", f"the byte 0x{error.object[error.start]:02x}",
                _conversion(path),
            ) from error  # fmt: skip
        advance(size - done)


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


def _whole_text(path: Path, first: int, text: str) -> Iterator[dict[str, Any]]:
    """The rows of a text whose first line has the number `first`: one JSON array, or one object after another."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise DepError(str(path), _EXPECTED, "values nested too deeply", "mend the file") from None
    except ValueError:
        if text.lstrip().startswith("["):
            for number, line in enumerate(text.splitlines(), first):
                yield from _rows(path, number, line)
        else:
            yield from _objects(path, first, text)
    else:
        yield from _array(path, value)


def _array(path: Path, value: Any) -> list[dict[str, Any]]:
    rows = value if isinstance(value, list) else [value]
    if not all(isinstance(row, dict) for row in rows):
        raise DepError(str(path), "a JSON array of objects", "other values in it", "write one JSON object a line")
    return rows


def _objects(path: Path, first: int, text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of a text, one after another, with white space or a comma between them."""
    decoder, at = json.JSONDecoder(), 0
    while (begin := _GAP.match(text, at)) and (at := begin.end()) < len(text):
        reason, where = "", at
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
        number = first + text.count("\n", 0, where)
        raise DepError(f"{path}, line {number}", _EXPECTED, reason, "mend or remove the object there")


def parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DepError(
            str(path), "a whole Parquet file", f"a damaged one ({reason})", "fetch the file again"
        ) from error
