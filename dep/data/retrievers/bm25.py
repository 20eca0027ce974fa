"""A retriever that ranks past reviews by BM25."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from dep.data.retrievers.texts import best, document, query
from dep.types import Corpus, Example
from dep.utils.registry import ComponentConfig


class BM25:
    """Chooses past reviews that share words with the target's item and review title (Robertson's BM25, by bm25s)."""

    kind = "bm25"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """The two constants of BM25."""

        kind: Literal["bm25"] = "bm25"
        k1: float = 1.5
        """Saturation: the larger the value, the more a word's repetitions raise the score."""
        b: float = 0.75
        """Length normalisation, from 0 (none) to 1 (full)."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()

    def __call__(self, example: Example, corpus: Corpus, k: int) -> list[int]:
        """Return the rows of the `k` reviews with the highest scores, best first; ties go to the newer review."""
        import bm25s

        newest = list(example.profile[::-1])
        if not newest or k < 1:
            return []
        index = bm25s.BM25(k1=self.config.k1, b=self.config.b)
        index.index([words(document(corpus, row)) or [""] for row in newest], show_progress=False)
        scores = index.get_scores([w for w in words(query(example, corpus)) if w in index.vocab_dict] or [""])
        return best(newest, scores, k)


def words(text: str) -> list[str]:
    """Split a text into its lower-case words of letters and digits."""
    return re.findall(r"\w+", text.lower())
