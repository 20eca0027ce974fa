"""Loader of Amazon Reviews 2014 as McAuley published it: `reviews_<X>[_5].json[.gz]` and `meta_<X>.json[.gz]`.

    reviewerID asin reviewText overall summary unixReviewTime (s)     asin title description

Above are the columns of the two files. Metadata is optional; the published metadata files hold Python literals (single
quotes) instead of JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from dep.data.sources.amazon import Amazon, Columns
from dep.data.sources.values import string
from dep.types import Item
from dep.utils.registry import ComponentConfig


class Amazon2014(Amazon):
    """Loader of the 2014 release from a local folder."""

    kind = "amazon2014"
    release = "2014"
    columns = Columns("reviewerID", ("asin",), "reviewText", "overall", "summary", "unixReviewTime")
    time_unit_ms = 1000
    reviews_glob = "reviews_*.json*"
    reviews_shown = "reviews_<category>.json[.gz]"
    metadata_required = False

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Which folder and which categories to read."""

        kind: Literal["amazon2014"] = "amazon2014"
        folder: str
        """Folder that holds `reviews_<category>.json[.gz]` and, optionally, `meta_<category>.json[.gz]`."""
        categories: list[str] = field(default_factory=list)
        """Categories to read, spelled as in the file names without `_5`; an empty list reads all in the folder."""
        strip_html: bool = False
        """Whether HTML tags and entities are removed from texts and titles; published files hold some."""

    def category_of(self, file_name: str) -> str | None:
        """Return the category of a file called `reviews_<category>[_5].json[.gz]`, or None for another file."""
        return file_name.split(".")[0].removeprefix("reviews_").removesuffix("_5")

    def review_names(self, category: str) -> tuple[str, ...]:
        """Return the name of the file with all reviews, and that of the 5-core file."""
        return f"reviews_{category}.json", f"reviews_{category}_5.json"

    def metadata_name(self, category: str) -> str:
        """Return `meta_<category>.json`."""
        return f"meta_{category}.json"

    def item(self, name: str, row: dict[str, Any]) -> Item:
        """Turn an entry of the metadata file into an item."""
        return Item(name, string(self.text(row.get("title"))), string(self.text(row.get("description"))))
