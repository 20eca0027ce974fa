"""Eqs. 2 and 3: e = f_emb(y), the frozen text embedding model that maps a review to a vector of unit length.

All embedders give [n, E] float32 on the CPU. In float32 neither the order of the texts nor the batch size
moves a number by more than 1e-6; in half precision and in eight bits they may, by about 1e-3, as they tip a rounding.

`EMBEDDERS[kind]` is the class, `.Config` beside it its fields; `EMBEDDERS[kind](config).encode(texts)` the vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from dep.data.embedders.bge_m3 import BGEM3, AutoCLS
from dep.data.embedders.sentence_transformers import MiniLM, SentenceTransformers

__all__ = ["BGEM3", "EMBEDDERS", "AutoCLS", "Embedder", "MiniLM", "SentenceTransformers"]


class Embedder(Protocol):
    """Texts to vectors."""

    kind: str

    @property
    def name(self) -> str:
        """What a report calls it."""

    @property
    def dim(self) -> int:
        """E."""

    def fingerprint(self) -> str:
        """A SHA-256 of everything that the vectors depend on: weights, tokenizer, truncation, precision."""

    def encode(self, texts: Sequence[str]) -> Tensor:
        """[n, E] float32, L2-normalised, on the CPU."""


EMBEDDERS: dict[str, Any] = {embedder.kind: embedder for embedder in (MiniLM, SentenceTransformers, BGEM3, AutoCLS)}
