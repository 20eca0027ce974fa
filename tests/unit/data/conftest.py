"""Real reviews where they are, and small corpora."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from dep.types import Corpus, Item, Review

SHARED_DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """The real reviews; skips where they are absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real reviews at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture
def random_corpus() -> Callable[..., Corpus]:
    """A maker of random corpora: who writes of what, when, with repeated items and texts among it."""

    def make(seed: int, users: int = 12, items: int = 8, reviews: int = 150, category: str = "Books") -> Corpus:
        rng = random.Random(seed)
        rows = []
        for number in range(reviews):
            user, item = f"u{rng.randrange(users):02d}", f"i{min(rng.randrange(items), rng.randrange(items))}"
            text = f"text  {number if rng.random() < 0.9 else rng.randrange(number + 1)} " + "word " * rng.randrange(4)
            rows.append(Review(user, item, text, float(rng.randint(1, 5)), "title", rng.randrange(1, 10**6)))
        rows.sort(key=lambda r: (r.user, r.time, r.item))
        names = sorted({r.item for r in rows})
        return Corpus(category, rows, {name: Item(name, f"item {name}", "d" * 20) for name in names})

    return make
