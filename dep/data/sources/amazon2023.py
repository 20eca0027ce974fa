"""Loader of Amazon Reviews 2023: `<X>.jsonl[.gz]` and `meta_<X>.jsonl[.gz]`.

    reviews  user_id parent_asin text rating title timestamp (ms)
    items    parent_asin title description (list) categories rating_number

As in the preprocessing that the paper builds on, a product is its `parent_asin`, the heading "Product Description" is
removed from a description, and an item with an empty `categories` or `rating_number` is treated as having no metadata.
A field that is empty for all items of a category (as `categories` in All_Beauty) has no such effect there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from dep.data.sources.amazon import Amazon, Columns
from dep.data.sources.values import string
from dep.types import Item
from dep.utils.registry import ComponentConfig


class Amazon2023(Amazon):
    """Loader of the 2023 release, or of other reviews in the same schema, from a local folder."""

    kind = "amazon2023"
    release = "2023"
    columns = Columns("user_id", ("parent_asin", "asin"), "text", "rating", "title", "timestamp")
    reviews_glob = "*.jsonl*"
    reviews_shown = "<category>.jsonl[.gz]"
    metadata_required = True
    rule = ("categories", "rating_number")

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Which folder and which categories to read."""

        kind: Literal["amazon2023"] = "amazon2023"
        folder: str
        """Folder that holds `<category>.jsonl[.gz]` and `meta_<category>.jsonl[.gz]`."""
        categories: list[str] = field(default_factory=list)
        """Categories to read; an empty list reads all in the folder."""
        strip_html: bool = False
        """Whether HTML tags and entities are removed from texts and titles; published files hold some."""

    def category_of(self, file_name: str) -> str | None:
        """Return the category of a file called `<category>.jsonl[.gz]`, or None for another file."""
        return None if file_name.startswith("meta_") else file_name.split(".")[0]

    def review_names(self, category: str) -> tuple[str, ...]:
        """Return `<category>.jsonl`, the only name that a review file may have."""
        return (f"{category}.jsonl",)

    def metadata_name(self, category: str) -> str:
        """Return `meta_<category>.jsonl`."""
        return f"meta_{category}.jsonl"

    def item(self, name: str, row: dict[str, Any]) -> Item:
        """Turn an entry of the metadata file into an item; the heading of a description is removed."""
        description = row.get("description")
        if isinstance(description, list) and description and description[0] == "Product Description":
            description = description[1:]
        return Item(name, string(self.text(row.get("title"))), string(self.text(description)))
