"""Examples as requests: the target's item, rating and title, and the past reviews with their vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, overload

from dep.data.retrievers.base import Retriever
from dep.types import Corpus, Example, Request, Slot, UserHistory
from dep.utils.errors import DepError

if TYPE_CHECKING:
    from dep.data.vectors.store import Vectors


class Requests(Sequence[Request]):
    """The requests of some examples, each built when it is asked for: no vector is read before that.

    Args:
        examples: examples on the rows of `corpora`.
        corpora: filtered corpora by category.
        vectors: vectors of each category's rows, or None for a method that uses none.
        retriever: chooses the past reviews.
        k: how many past reviews at most.
        pairing: whose vectors stand beside a past review, as `PromptConfig.pairing`.
        user_history: what of all that the user did before, for methods that read it.

    Raises:
        ValueError: a category of the examples has no corpus, or vectors of another number of rows.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        corpora: Mapping[str, Corpus],
        vectors: Mapping[str, Vectors] | None,
        retriever: Retriever,
        k: int,
        pairing: str = "own",
        user_history: Callable[[Example], UserHistory] | None = None,
    ) -> None:
        for category in sorted({example.category for example in examples}):
            if category not in corpora:
                raise DepError(f"examples of {category!r} need its corpus, found {', '.join(corpora) or 'none'}")
            rows = len(corpora[category].reviews)
            if vectors is not None and (category not in vectors or len(vectors[category].his_NE) != rows):
                found = len(vectors[category].his_NE) if category in vectors else "none"
                raise DepError(f"{category}: expected vectors of {rows} reviews, found {found}; make them from it")
        self.examples, self.corpora, self.vectors, self.retriever, self.k = (
            examples,
            corpora,
            vectors,
            retriever,
            k,
        )
        self.pairing, self.user_history = pairing, user_history

    def __len__(self) -> int:
        return len(self.examples)

    @overload
    def __getitem__(self, at: int) -> Request: ...
    @overload
    def __getitem__(self, at: slice) -> Requests: ...
    def __getitem__(self, at: int | slice) -> Request | Requests:
        if isinstance(at, slice):
            return Requests(
                self.examples[at], self.corpora, self.vectors, self.retriever, self.k, self.pairing, self.user_history
            )
        example = self.examples[at]
        corpus = self.corpora[example.category]
        target = corpus.reviews[example.row]
        return Request(
            key=example.key,
            category=example.category,
            user=target.user,
            item=corpus.items[target.item],
            rating=target.rating,
            title=target.title,
            text=target.text,
            slots=self._slots(example, corpus),
            user_history=self.user_history(example) if self.user_history else None,
        )

    def _slots(self, example: Example, corpus: Corpus) -> tuple[Slot, ...]:
        rows = self.retriever(example, corpus, self.k)
        if self.vectors is None or self.pairing == "own":
            return tuple(self._slot(corpus, row, row) for row in rows)
        peers_N = self.vectors[example.category].peers_N
        every = self.retriever(example, corpus, len(example.profile))
        having = [row for row in every if peers_N[row] > 0]
        return tuple(self._slot(corpus, row, other) for row, other in zip_longest(rows, having[: len(rows)]))

    def _slot(self, corpus: Corpus, row: int, of: int | None) -> Slot:
        """The past review of `row` with the vectors of row `of`."""
        review = corpus.reviews[row]
        item = corpus.items[review.item]
        if self.vectors is None or of is None:
            return Slot(review, item)
        vectors = self.vectors[corpus.category]
        return Slot(review, item, vectors.his_NE[of], vectors.diff_NE[of] if vectors.peers_N[of] > 0 else None)
