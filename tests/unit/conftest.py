"""An embedder without a model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize


class HashingEmbedder:
    """Words hashed to signed counts, and `common` added to each; unit length; remembers what it was asked."""

    kind = "hashing"

    def __init__(self, salt: str = "", fail_after: int | None = None, dim: int = 16, common: float = 1e-3) -> None:
        self.salt, self.fail_after, self.dim, self.common = salt, fail_after, dim, common
        self.name = f"hashing:{dim}"
        self.seen: list[str] = []

    def fingerprint(self) -> str:
        return hashlib.sha256(f"hashing {self.salt} {self.dim} {self.common}".encode()).hexdigest()

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
        return x + self.common


@pytest.fixture(scope="session")
def hashing() -> type[HashingEmbedder]:
    """The class of the embedder without a model."""
    return HashingEmbedder
