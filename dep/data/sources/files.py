"""Functions that find and hash the files of a source, join entries about an item, and sort the reviews."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from dep.types import Corpus, Item, Review
from dep.utils.errors import DepError, MissingFile
from dep.utils.hashing import file_digest, text_digest


def listing(folder: Path, limit: int = 12) -> str:
    """Describe in a few words what a folder holds, for an error message."""
    if not folder.is_dir():
        return "there is no such folder"
    names = sorted(entry.name for entry in folder.iterdir())
    if not names:
        return "the folder is empty"
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return "the folder holds " + ", ".join(names[:limit]) + more


def find(folder: Path, names: Iterable[str], help_text: str) -> Path:
    """Return the file in `folder` that is called by one of `names`, with or without `.gz`.

    Raises:
        MissingFile: there is no such file.
        DepError: there is more than one such file.
    """
    candidates = [name + suffix for name in names for suffix in ("", ".gz")]
    present = [folder / name for name in candidates if (folder / name).is_file()]
    if not present:
        raise MissingFile(f"{folder}: expected one of {', '.join(candidates)}; {listing(folder)}. {help_text}")
    if len(present) > 1:
        raise DepError(f"{folder}: expected one of {', '.join(p.name for p in present)}, found all; keep one of them")
    return present[0]


def digest(paths: Iterable[Path]) -> str:
    """Return one SHA-256 of the names, sizes and contents of all files."""
    parts = (f"{path.name}\0{path.stat().st_size}\0{file_digest(path)}\0" for path in paths)
    return text_digest("".join(parts))


def unrated(category: str, reviews: Collection[Review], scale: str = " from 1 to 5") -> list[str]:
    """Return a note that says how many reviews have no rating; an empty list if all have one."""
    count = sum(review.rating != review.rating for review in reviews)
    return [f"{category}: {count:,} of {len(reviews):,} reviews have no rating{scale}"] if count else []


def add_item(items: dict[str, Item], row: Item) -> None:
    """Add a row about an item: its fields replace those of earlier rows, except where it has none."""
    earlier = items.get(row.item, row)
    items[row.item] = Item(row.item, row.title or earlier.title, row.description or earlier.description)


def corpus(category: str, reviews: list[Review], items: dict[str, Item]) -> Corpus:
    """Build a corpus whose reviews are sorted by user, time and item; an item without metadata gets an empty title."""
    reviews.sort(key=lambda r: (r.user, r.time, r.item))
    seen = sorted({r.item for r in reviews})
    return Corpus(category, reviews, {name: items.get(name) or Item(name, "") for name in seen})
