"""Amazon Reviews 2014 as McAuley published it: `reviews_<X>[_5].json[.gz]` and `meta_<X>.json[.gz]`.

    reviewerID asin reviewText overall summary unixReviewTime (s)     asin title description

Metadata is optional. The published metadata has Python literals (single quotes) instead of JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from dep.data.sources.amazon import Amazon, Columns
from dep.data.sources.values import string
from dep.types import Item
from dep.utils.registry import ComponentConfig


class Amazon2014(Amazon):
    """Reviews of the 2014 release from a local folder."""

    kind = "amazon2014"
    release = "2014"
    columns = Columns("reviewerID", ("asin",), "reviewText", "overall", "summary", "unixReviewTime")
    time_unit_ms = 1000
    reviews_glob = "reviews_*.json*"
    reviews_shown = "reviews_<category>.json[.gz]"
    metadata_required = False

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Folder and categories."""

        kind: Literal["amazon2014"] = "amazon2014"
        folder: str
        """Folder that holds `reviews_<category>.json[.gz]` and, optionally, `meta_<category>.json[.gz]`."""
        categories: list[str] = field(default_factory=list)
        """Categories to read, as in the file names without `_5`; empty: all in the folder."""

    def category_of(self, file_name: str) -> str | None:
        """`reviews_<category>[_5].json[.gz]`."""
        return file_name.split(".")[0].removeprefix("reviews_").removesuffix("_5")

    def review_names(self, category: str) -> tuple[str, ...]:
        """All reviews, or the 5-core."""
        return f"reviews_{category}.json", f"reviews_{category}_5.json"

    def metadata_name(self, category: str) -> str:
        """`meta_<category>.json`."""
        return f"meta_{category}.json"

    def item(self, name: str, row: dict[str, Any]) -> Item:
        """Title and description of a row."""
        return Item(name, string(row.get("title")), string(row.get("description")))
