"""The interface of retrievers, which choose the past reviews that enter the prompt (D*_u' in Section 3.2.1)."""

from __future__ import annotations

from typing import Protocol

from dep.types import Corpus, Example


class Retriever(Protocol):
    """Chooses some of a user's past reviews for a prompt."""

    kind: str

    def fingerprint(self) -> str:
        """Return a fingerprint of what else decides the choice than settings, such as a model; empty if nothing."""
        return ""

    def __call__(self, example: Example, corpus: Corpus, k: int) -> list[int]:
        """Choose at most `k` past reviews from `example.profile`.

        Args:
            example: the example. The item and the review title of the target may be used; its text must not.
            corpus: the corpus of the example's category.
            k: the largest number of past reviews.

        Returns:
            The rows of the chosen reviews, the most relevant first; if the prompt gets too long, the last ones are left
            out.
        """
