"""What every retriever is: D*_u' of Section 3.2.1, which of a user's past reviews go into the prompt."""

from __future__ import annotations

from typing import Protocol

from dep.types import Corpus, Example


class Retriever(Protocol):
    """Chooses rows of a profile."""

    kind: str

    def fingerprint(self) -> str:
        """What its choice depends on beside its settings: weights of a model; empty for most."""
        return ""

    def __call__(self, example: Example, corpus: Corpus, k: int) -> list[int]:
        """Choose at most `k` rows of `example.profile`.

        Args:
            example: whose profile; what is known of its target (item, review title) may be looked at, its text not.
            corpus: of the example's category.
            k: how many at most.

        Returns:
            The chosen rows, the most wanted first: a prompt that is too long loses the last.
        """
