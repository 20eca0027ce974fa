"""An embedder without a model, and small corpora."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from dep.records import Corpus, Item, Review

SHARED_DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


class HashingEmbedder:
    """Words hashed to 16 signed counts, at unit length; remembers what it was asked."""

    kind = "hashing"
    name = "hashing:16"
    dim = 16

    def __init__(self, salt: str = "", fail_after: int | None = None) -> None:
        self.salt, self.fail_after = salt, fail_after
        self.seen: list[str] = []

    def fingerprint(self) -> str:
        return hashlib.sha256(f"hashing {self.salt}".encode()).hexdigest()

    def encode(self, texts: Sequence[str]) -> Tensor:
        if self.fail_after is not None and len(self.seen) >= self.fail_after:
            raise KeyboardInterrupt
        self.seen += texts
        return normalize(torch.stack([self._one(text) for text in texts]), dim=1)

    def _one(self, text: str) -> Tensor:
        x = torch.zeros(self.dim)
        for word in text.split():
            code = hashlib.sha256(f"{self.salt}{word}".encode()).digest()
            x[code[0] % self.dim] += 1 if code[1] % 2 else -1
        return x + 1e-3


@pytest.fixture
def hashing() -> type[HashingEmbedder]:
    """The class of the embedder without a model."""
    return HashingEmbedder


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
