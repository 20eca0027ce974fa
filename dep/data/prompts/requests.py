"""Turns examples into requests: the target's item, rating and title, and the past reviews with their vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, overload

from dep.data.retrievers.base import Retriever
from dep.types import Corpus, Example, Request, Slot, UserHistory
from dep.utils.errors import DepError

if TYPE_CHECKING:
    from torch import Tensor

    from dep.data.vectors.shown import ShownDifferences
    from dep.data.vectors.store import Vectors


class Requests(Sequence[Request]):
    """A sequence of requests, one for each example; a request is built, and its vectors are read, when it is indexed.

    Args:
        examples: the examples; their rows index the reviews of `corpora`.
        corpora: filtered corpora by category.
        vectors: the vectors of each category's reviews; None for a method without vectors.
        retriever: chooses the past reviews.
        k: the largest number of past reviews.
        pairing: which review's vectors a slot holds; see `PromptConfig.pairing`.
        user_history: returns the user's whole history before an example, for methods that read it.
        shown: by category, computes differences that depend on the prompt; None uses the differences in `vectors`.

    Raises:
        DepError: a category of the examples has no corpus or no vectors, or their numbers of reviews differ.
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
        shown: Mapping[str, ShownDifferences] | None = None,
    ) -> None:
        for category in sorted({example.category for example in examples}):
            if category not in corpora:
                names = ", ".join(corpora) or "none"
                raise DepError(f"examples of {category!r}", "the corpus of their category", f"corpora: {names}")
            rows = len(corpora[category].reviews)
            if vectors is not None and (category not in vectors or len(vectors[category].his_NE) != rows):
                count = len(vectors[category].his_NE) if category in vectors else "none"
                way_out = "compute them from this corpus, with VectorStore.vectors"
                raise DepError(category, f"vectors of {rows} reviews", str(count), way_out)
        self.examples, self.corpora, self.vectors, self.retriever, self.k = (
            examples,
            corpora,
            vectors,
            retriever,
            k,
        )
        self.pairing, self.user_history, self.shown = pairing, user_history, shown

    def __len__(self) -> int:
        return len(self.examples)

    @overload
    def __getitem__(self, at: int) -> Request: ...
    @overload
    def __getitem__(self, at: slice) -> Requests: ...
    def __getitem__(self, at: int | slice) -> Request | Requests:
        if isinstance(at, slice):
            return Requests(
                self.examples[at], self.corpora, self.vectors, self.retriever, self.k, self.pairing, self.user_history,
                self.shown,
            )  # fmt: skip
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
        vector_rows = rows
        if self.vectors is not None and self.pairing == "with_peers":
            peers_N = self.vectors[example.category].peers_N
            all_rows = self.retriever(example, corpus, len(example.profile))
            vector_rows = [row for row in all_rows if peers_N[row] > 0][: len(rows)]
        diff: dict[int, Tensor] | None = None
        if self.shown is not None:
            diff = self.shown[example.category](vector_rows, sorted({*rows, *vector_rows}))
        return tuple(self._slot(corpus, row, other, diff) for row, other in zip_longest(rows, vector_rows))

    def _slot(
        self, corpus: Corpus, row: int, vector_row: int | None, shown: Mapping[int, Tensor] | None = None
    ) -> Slot:
        """Build the slot of the past review `row` with the vectors of the review `vector_row`; None for no vectors.

        `shown` maps rows to differences if these depend on the prompt.
        """
        review = corpus.reviews[row]
        item = corpus.items[review.item]
        if self.vectors is None or vector_row is None:
            return Slot(review, item)
        vectors = self.vectors[corpus.category]
        if shown is not None:
            return Slot(review, item, vectors.his_NE[vector_row], shown.get(vector_row))
        diff = vectors.diff_NE[vector_row] if vectors.peers_N[vector_row] > 0 else None
        return Slot(review, item, vectors.his_NE[vector_row], diff)


class MappedRequests(Sequence[Request]):
    """A sequence of requests that `change(index, request)` changes when they are read."""

    def __init__(self, requests: Sequence[Request], change: Callable[[int, Request], Request]) -> None:
        self.requests, self.change = requests, change

    def __len__(self) -> int:
        return len(self.requests)

    @overload
    def __getitem__(self, at: int) -> Request: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Request]: ...
    def __getitem__(self, at: int | slice) -> Request | Sequence[Request]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        return self.change(at, self.requests[at])
