"""Past reviews whose words match the target's item and title best."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from dep.data.retrievers.texts import best, document, query
from dep.types import Corpus, Example
from dep.utils.registry import ComponentConfig


class BM25:
    """Those whose words match the target's item and title best (Robertson's BM25, in bm25s)."""

    kind = "bm25"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """BM25's two constants."""

        kind: Literal["bm25"] = "bm25"
        k1: float = 1.5
        """How soon a word's repetitions stop to count."""
        b: float = 0.75
        """How far a document's length counts against it."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()

    def __call__(self, example: Example, corpus: Corpus, k: int) -> list[int]:
        """The `k` best rows, best first; of equals the newer first."""
        import bm25s

        newest = list(example.profile[::-1])
        if not newest or k < 1:
            return []
        index = bm25s.BM25(k1=self.config.k1, b=self.config.b)
        index.index([words(document(corpus, row)) or [""] for row in newest], show_progress=False)
        scores = index.get_scores([w for w in words(query(example, corpus)) if w in index.vocab_dict] or [""])
        return best(newest, scores, k)


def words(text: str) -> list[str]:
    """Lower-case words of letters and digits."""
    return re.findall(r"\w+", text.lower())
