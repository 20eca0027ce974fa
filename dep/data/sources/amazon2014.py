"""Amazon Reviews 2014 as McAuley published it: `reviews_<X>[_5].json[.gz]` and `meta_<X>.json[.gz]`.

    reviewerID asin reviewText overall summary unixReviewTime (s)     asin title description

Metadata is optional. The published metadata has Python literals (single quotes) in place of JSON.
"""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dep.data.sources import files
from dep.types import Corpus, Item
from dep.utils.errors import MissingFile
from dep.utils.registry import ComponentConfig


class Amazon2014:
    """Reviews of the 2014 release from a local folder."""

    kind = "amazon2014"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Where the files are."""

        kind: Literal["amazon2014"] = "amazon2014"
        folder: str
        """Folder that holds `reviews_<category>.json[.gz]` and, optionally, `meta_<category>.json[.gz]`."""
        categories: list[str] = field(default_factory=list)
        """Categories to read, as in the file names without `_5`; empty: all in the folder."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def load(self) -> dict[str, Corpus]:
        """Every usable review of every category, sorted by (user, time, item)."""
        return {category: self._corpus(category, *paths) for category, paths in self._paths().items()}

    def fingerprint(self) -> str:
        """A SHA-256 of the files' names and content."""
        return files.digest(path for paths in self._paths().values() for path in paths if path)

    def _paths(self) -> dict[str, tuple[Path, Path | None]]:
        folder = Path(self.config.folder)
        help_text = "Files of the 2014 release go into the folder that the source's `folder` names"
        categories = self.config.categories or sorted(
            {p.name.split(".")[0].removeprefix("reviews_").removesuffix("_5") for p in folder.glob("reviews_*.json*")}
        )
        if not categories:
            raise MissingFile(f"{folder}: expected reviews_<category>.json[.gz]; {files.listing(folder)}. {help_text}")
        paths: dict[str, tuple[Path, Path | None]] = {}
        for category in categories:
            reviews = files.find(folder, (f"reviews_{category}.json", f"reviews_{category}_5.json"), help_text)
            has_meta = any((folder / f"meta_{category}.json{suffix}").is_file() for suffix in ("", ".gz"))
            paths[category] = (
                reviews,
                files.find(folder, (f"meta_{category}.json",), help_text) if has_meta else None,
            )
        return paths

    @staticmethod
    def _corpus(category: str, reviews_path: Path, meta_path: Path | None) -> Corpus:
        reviews = []
        for row in files.records(reviews_path):
            review = files.review(
                row.get("reviewerID"),
                row.get("asin"),
                row.get("reviewText"),
                row.get("overall"),
                row.get("summary"),
                row.get("unixReviewTime"),
                ms=1000,
            )
            if review:
                reviews.append(review)
        seen = {review.item for review in reviews}
        items = {}
        for row in files.records(meta_path, parse=_literal) if meta_path else ():
            if row.get("asin") in seen:
                items[row["asin"]] = Item(
                    row["asin"], files.string(row.get("title")), files.string(row.get("description"))
                )
        return files.corpus(category, reviews, items)


def _literal(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return ast.literal_eval(line.strip())
