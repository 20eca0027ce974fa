"""Amazon Reviews 2023: `<X>.jsonl[.gz]` and `meta_<X>.jsonl[.gz]`.

    reviews  user_id parent_asin text rating title timestamp (ms)
    items    parent_asin title description (list) categories rating_number

As in the preprocessing that the paper builds on, a product is its `parent_asin`, a description that opens
with the heading "Product Description" loses it, and an item with an empty `categories` or `rating_number`
has no metadata.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dep.data.sources import files
from dep.types import Corpus, Item
from dep.utils.errors import MissingFile
from dep.utils.registry import ComponentConfig


class Amazon2023:
    """Reviews of the 2023 release, or of anything written in its schema, from a local folder."""

    kind = "amazon2023"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Where the files are."""

        kind: Literal["amazon2023"] = "amazon2023"
        folder: str
        """Folder that holds `<category>.jsonl[.gz]` and `meta_<category>.jsonl[.gz]`."""
        categories: list[str] = field(default_factory=list)
        """Categories to read; empty: all in the folder."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def load(self) -> dict[str, Corpus]:
        """Every usable review of every category, sorted by (user, time, item)."""
        return {category: self._corpus(category, *paths) for category, paths in self._paths().items()}

    def fingerprint(self) -> str:
        """A SHA-256 of the files' names and content."""
        return files.digest(path for paths in self._paths().values() for path in paths)

    def _paths(self) -> dict[str, tuple[Path, Path]]:
        folder = Path(self.config.folder)
        help_text = "Files of the 2023 release go into the folder that the source's `folder` names"
        categories = self.config.categories or sorted(
            {p.name.split(".")[0] for p in folder.glob("*.jsonl*") if not p.name.startswith("meta_")}
        )
        if not categories:
            raise MissingFile(f"{folder}: expected <category>.jsonl[.gz]; {files.listing(folder)}. {help_text}")
        return {
            category: (
                files.find(folder, (f"{category}.jsonl",), help_text),
                files.find(folder, (f"meta_{category}.jsonl",), help_text),
            )
            for category in categories
        }

    @staticmethod
    def _corpus(category: str, reviews_path: Path, meta_path: Path) -> Corpus:
        reviews = []
        for row in files.records(reviews_path):
            review = files.review(
                row.get("user_id"),
                row.get("parent_asin") or row.get("asin"),
                row.get("text"),
                row.get("rating"),
                row.get("title"),
                row.get("timestamp"),
            )
            if review:
                reviews.append(review)
        seen = {review.item for review in reviews}
        items = {}
        for row in files.records(meta_path):
            name = row.get("parent_asin")
            if name in seen and _complete(row):
                items[name] = Item(name, files.string(row.get("title")), _description(row.get("description")))
        return files.corpus(category, reviews, items)


def _complete(row: dict[str, Any]) -> bool:
    """False where a field that the release always has is there but empty; a file without the field passes."""
    return all(row.get(name, True) for name in ("categories", "rating_number"))


def _description(value: Any) -> str:
    if isinstance(value, list) and value and value[0] == "Product Description":
        value = value[1:]
    return files.string(value)
