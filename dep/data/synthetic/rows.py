"""Rows of the raw schema of Amazon Reviews 2023, as the built-in worlds write them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any


def review_row(user: str, item: str, text: str, rating: int, title: str, time: int) -> dict[str, Any]:
    """A review; `time` is in milliseconds since 1970."""
    return {
        "rating": float(rating), "title": title, "text": text, "images": [],
        "asin": item, "parent_asin": item, "user_id": user,
        "timestamp": time, "helpful_vote": 0, "verified_purchase": True,
    }  # fmt: skip


def item_row(category: str, item: str, title: str, description: str, ratings: int) -> dict[str, Any]:
    """An item's metadata; `ratings` is how many reviews it has."""
    return {
        "main_category": category, "title": title, "rating_number": ratings, "features": [],
        "description": [description], "price": None, "images": [], "store": None, "categories": [category],
        "details": {}, "parent_asin": item,
    }  # fmt: skip


def json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as lines of JSON."""
    return "".join(json.dumps(row) + "\n" for row in rows)
