"""Files of text, JSON and JSON lines, written beside and renamed: there in whole, or not there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dep.utils.errors import DepError


def write_json(path: Path, value: Any) -> None:
    """Write beside and rename."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; an empty one where there is no file.

    Raises:
        ValueError: what is there is no JSON.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise DepError(f"{path}: expected JSON, found a damaged file ({error}); delete it and run again") from error
    return found


def write_text(path: Path, text: str) -> None:
    """Write beside and rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON lines beside and rename."""
    write_text(path, "".join(map(as_line, rows)))


def as_line(row: Mapping[str, Any]) -> str:
    """One JSON line."""
    return json.dumps(row, ensure_ascii=False) + "\n"


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines; an unfinished last line, as an interruption leaves it, is dropped."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1] if line]
