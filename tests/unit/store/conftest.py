"""Builders of small stores, and their contents in a form that does not depend on row numbers."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dep.store.reviews import StoredReview

E = 16


def review(user: str, item: str, time: int = 0, text: str = "", category: str = "Music") -> StoredReview:
    return StoredReview(category, user, item, f"{item}!", "", text or f"{user} on {item}", 4.0, "t", time)


def vectors(count: int, seed: int = 0) -> Tensor:
    drawn = torch.randn(count, E, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(drawn, dim=1)


def drawn_reviews(seed: int, count: int) -> list[StoredReview]:
    """Reviews by few users of few items of two categories, so that keys repeat; titles and times vary."""
    rng = random.Random(seed)
    return [
        StoredReview(
            rng.choice(["Music", "Books"]), f"u{rng.randrange(6)}", f"i{rng.randrange(5)}", rng.choice(["", "A", "B"]),
            rng.choice(["", "old"]), f"text {rng.random()}", float(rng.randrange(1, 6)), "t", rng.randrange(30),
        )
        for _ in range(count)
    ]  # fmt: skip


CONTENTS = {
    "categories": "SELECT name, count, sum FROM category",
    "items": "SELECT c.name, i.name, i.count, i.sum FROM item i JOIN category c ON c.id = i.category",
    "users": "SELECT name FROM author",
    "titles": "SELECT c.name, i.name, a.title, a.description, a.uses FROM about a JOIN item i ON i.id = a.item "
    "JOIN category c ON c.id = i.category",
    "reviews": "SELECT c.name, i.name, u.name, r.time, a.title, a.description, r.rating, r.title, r.text, r.vector "
    "FROM review r JOIN item i ON i.id = r.item JOIN category c ON c.id = i.category JOIN author u ON u.id = r.author "
    "LEFT JOIN about a ON a.id = r.about",
}


@pytest.fixture
def contents() -> Callable[[Path], dict[str, list[tuple[object, ...]]]]:
    """Return a function that reads all tables of a store's file by names, in a fixed order."""

    def read(path: Path) -> dict[str, list[tuple[object, ...]]]:
        db = sqlite3.connect(path)
        try:
            return {name: sorted(db.execute(sql), key=repr) for name, sql in CONTENTS.items()}
        finally:
            db.close()

    return read
