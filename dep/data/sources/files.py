"""Reading of review files: find them, hash them, go through their lines, and put the rows in order."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dep.types import Corpus, Item, Review
from dep.utils.errors import DepError, MissingFile
from dep.utils.progress import stage

_BAR_FROM_BYTES = 16 * 2**20


def listing(folder: Path, limit: int = 12) -> str:
    """What a folder holds, for an error message."""
    if not folder.is_dir():
        return "there is no such folder"
    names = sorted(entry.name for entry in folder.iterdir())
    if not names:
        return "the folder is empty"
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return "the folder holds " + ", ".join(names[:limit]) + more


def find(folder: Path, names: Iterable[str], help_text: str) -> Path:
    """The one file of `folder` that has one of `names`, plain or gzipped.

    Raises:
        FileNotFoundError: none is there.
        ValueError: more than one is there, so that what is read would depend on an unwritten order.
    """
    candidates = [name + suffix for name in names for suffix in ("", ".gz")]
    found = [folder / name for name in candidates if (folder / name).is_file()]
    if not found:
        raise MissingFile(f"{folder}: expected one of {', '.join(candidates)}; {listing(folder)}. {help_text}")
    if len(found) > 1:
        raise DepError(f"{folder}: expected one of {', '.join(p.name for p in found)}, found all; keep one of them")
    return found[0]


def digest(paths: Iterable[Path]) -> str:
    """SHA-256 over the name, size and content of each file."""
    total = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.name}\0{path.stat().st_size}\0{content}\0".encode())
    return total.hexdigest()


def records(path: Path, parse: Callable[[str], Any] = json.loads) -> Iterator[dict[str, Any]]:
    """The dictionaries of a file with one a line, gzipped where the name says so.

    Raises:
        ValueError: a line is not a dictionary, or the file is cut short.
    """
    size = path.stat().st_size
    with ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        unzipped = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
        lines = io.TextIOWrapper(unzipped, encoding="utf-8")
        advance = stack.enter_context(stage(f"reading {path.name}", size, show=size > _BAR_FROM_BYTES))
        done = number = 0
        try:
            for number, line in enumerate(lines, 1):
                if number % 4096 == 0:
                    advance(raw.tell() - done)
                    done = raw.tell()
                if line.strip():
                    record = parse(line)
                    if not isinstance(record, dict):
                        raise DepError(f"a {type(record).__name__} where a dictionary was expected")
                    yield record
        except (ValueError, SyntaxError, EOFError, gzip.BadGzipFile) as error:
            raise DepError(
                f"{path}, near line {number}: {error}. Expected one record a line; fetch the file again"
            ) from error
        advance(size - done)


def string(value: Any) -> str:
    """A field as text: lists joined by spaces, null as nothing."""
    if isinstance(value, list):
        return " ".join(string(part) for part in value).strip()
    return value.strip() if isinstance(value, str) else ""


def review(user: Any, item: Any, text: Any, rating: Any, title: Any, time: Any, ms: int = 1) -> Review | None:
    """A `Review`, or None where author, item, text or time is missing; `time` comes in units of `ms`."""
    if not (
        isinstance(user, str) and user and isinstance(item, str) and item and isinstance(text, str) and text.strip()
    ):
        return None
    try:
        when = int(time) * ms
    except (TypeError, ValueError):
        return None
    try:
        stars = float(rating)
    except (TypeError, ValueError):
        stars = math.nan
    stars = stars if 1 <= stars <= 5 else math.nan
    # Names recur in many rows: one copy of each saves gigabytes on a large category.
    return Review(sys.intern(user), sys.intern(item), text, stars, string(title), when)


def corpus(category: str, reviews: list[Review], items: dict[str, Item]) -> Corpus:
    """A corpus in the order that rows have: user, time, item. Without metadata, an item's title is empty."""
    reviews.sort(key=lambda r: (r.user, r.time, r.item))
    seen = sorted({r.item for r in reviews})
    return Corpus(category, reviews, {name: items.get(name) or Item(name, "") for name in seen})
