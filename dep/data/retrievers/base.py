"""The protocol of retrievers. A retriever chooses D*_u' of Section 3.2.1, the past reviews that enter the prompt."""

from __future__ import annotations

from typing import Protocol

from dep.types import Corpus, Example


class Retriever(Protocol):
    """Chooses past reviews of an example's user."""

    kind: str

    def fingerprint(self) -> str:
        """Fingerprint of what the choice depends on besides the settings, such as a model; empty for most."""
        return ""

    def __call__(self, example: Example, corpus: Corpus, k: int) -> list[int]:
        """Choose at most `k` rows of `example.profile`.

        Args:
            example: the example. Its target's item and review title may be used, the target's text may not.
            corpus: the corpus of the example's category.
            k: the largest number of rows.

        Returns:
            The chosen rows, the most relevant first: a prompt that is too long loses the last ones.
        """
