"""Which of a user's past reviews go into the prompt: D*_u' of Section 3.2.1, and the other strategies of Table 8."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Any, Protocol

from dep.data.retrievers.dense import Dense
from dep.data.retrievers.texts import best, document, query
from dep.types import Corpus, Example


class Retriever(Protocol):
    """Chooses rows of a profile."""

    kind: str

    def __call__(self, example: Example, corpus: Corpus, k: int) -> list[int]:
        """Choose at most `k` rows of `example.profile`.

        Args:
            example: whose profile; what is known of its target (item, review title) may be looked at, its text not.
            corpus: of the example's category.
            k: how many at most.

        Returns:
            The chosen rows, the most wanted first: a prompt that is too long loses the last.
        """


class Recency:
    """The most recent ones (Table 8: the best of the four strategies that the paper compares)."""

    kind = "recency"

    @dataclass
    class Config:
        """Nothing to choose."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()

    def __call__(self, example: Example, corpus: Corpus, k: int) -> list[int]:
        """The last `k` rows, newest first."""
        return list(example.profile[::-1][:k])


class Random:
    """Drawn without regard to anything, always the same for an example."""

    kind = "random"

    @dataclass
    class Config:
        """The draw."""

        seed: int = 0
        """With the example's key it decides what is drawn."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()

    def __call__(self, example: Example, corpus: Corpus, k: int) -> list[int]:
        """`k` rows, newest first."""
        drawn = random.Random(f"{self.config.seed}/{example.key}").sample(example.profile, min(k, len(example.profile)))
        return sorted(drawn, key=lambda row: (corpus.reviews[row].time, row), reverse=True)


class BM25:
    """Those whose words match the target's item and title best (Robertson's BM25, in bm25s)."""

    kind = "bm25"

    @dataclass
    class Config:
        """BM25's two constants."""

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


RETRIEVERS: dict[str, Any] = {retriever.kind: retriever for retriever in (Recency, Random, BM25, Dense)}
