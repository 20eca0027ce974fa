"""A retriever that ranks past reviews by the inner product of their embeddings with that of the request."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from dep.data.embedders import EMBEDDERS, MiniLM, SentenceTransformers
from dep.data.retrievers.texts import best, document, query
from dep.types import Corpus, Example
from dep.utils.registry import ComponentConfig

if TYPE_CHECKING:
    from torch import Tensor


class Dense:
    """Chooses past reviews whose embeddings resemble that of the request; see `texts.query`.

    The paper uses Contriever for this (`model: facebook/contriever`, or its local folder).
    """

    kind = "dense"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Which embedding model to use."""

        kind: Literal["dense"] = "dense"
        model: str = ""
        """Folder or name of a sentence-transformers model; if empty, all-MiniLM-L6-v2 from its Python package."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()
        self._vectors: dict[str, Tensor] = {}

    @cached_property
    def embedder(self) -> Any:
        """The embedding model, loaded on first use."""
        if self.config.model:
            return EMBEDDERS.build(SentenceTransformers.Config(model=self.config.model))
        return EMBEDDERS.build(MiniLM.Config())

    def fingerprint(self) -> str:
        """Return the embedding model's fingerprint; empty for the packaged model, which the settings identify."""
        return str(self.embedder.fingerprint()) if self.config.model else ""

    def __call__(self, example: Example, corpus: Corpus, k: int) -> list[int]:
        """Return the rows of the `k` reviews with the largest inner products; ties go to the newer review."""
        import torch

        newest = list(example.profile[::-1])
        if not newest or k < 1:
            return []
        texts = [query(example, corpus), *(document(corpus, row) for row in newest)]
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if new:
            self._vectors.update(zip(new, self.embedder.encode(new), strict=True))
        x_NE = torch.stack([self._vectors[text] for text in texts])
        scores = (x_NE[1:] @ x_NE[0]).tolist()
        return best(newest, scores, k)
