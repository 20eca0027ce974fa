"""Writes files atomically: a file is complete or absent, even if the process is killed while it writes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dep.utils.errors import DepError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name for a file or folder, and rename what was written if the `with` block raises no error.

    Args:
        path: the final name; an existing file or folder is replaced.

    Yields:
        The temporary name, which is in the same folder. What was written there is removed if the block raises an error.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    _remove(temporary)
    try:
        yield temporary
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
    except BaseException:
        _remove(temporary)
        raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; a missing file gives an empty object.

    Raises:
        DepError: the file is not JSON.
    """
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise DepError(f"{path}: expected JSON, found a damaged file ({error}); delete it and run again") from error
    return value


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write mappings as JSON lines, atomically."""
    write_text(path, "".join(map(as_line, rows)))


def as_line(row: Mapping[str, Any]) -> str:
    """Format a mapping as one line of JSON."""
    return json.dumps(row, ensure_ascii=False) + "\n"


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines; an incomplete last line (from an interruption) is dropped, and a missing file has none."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1] if line]
