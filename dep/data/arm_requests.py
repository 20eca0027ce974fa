"""Makes an arm's requests and prompts from the filtered reviews and their vectors, without Lightning and the LLM.

An arm is one system of a comparison, that is, a method with its settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.requests import Requests
from dep.data.protocol import ReviewDataset
from dep.data.retrievers.base import Retriever
from dep.data.user_history import UserHistoryReader
from dep.data.vectors.peer_means import PeerMeans
from dep.data.vectors.shown import ShownDifferences
from dep.data.vectors.store import Vectors, VectorStore
from dep.types import Branch, Example, Prompt, Request, Split, UserHistory


class PromptDataset(Dataset[Prompt]):
    """A torch data set of prompts, one for each request; a prompt is built when it is first read."""

    def __init__(self, requests: Sequence[Request], builder: PromptBuilder) -> None:
        self.requests, self.builder = requests, builder
        self._built: dict[int, Prompt] = {}

    def __len__(self) -> int:
        return len(self.requests)

    def __getitem__(self, at: int) -> Prompt:
        if at not in self._built:
            self._built[at] = self.builder.build(self.requests[at])
        return self._built[at]


class ArmRequests:
    """Requests and prompts of one arm.

    Args:
        prepared: filtered corpora and examples.
        cache: the vector store; None for a method without vectors.
        retriever: chooses past reviews.
        builder: builds prompts; its `config.history` is the number of past reviews to retrieve.
        history_reader: returns the history of an example's user; None for a `UserHistoryReader`, if prompts carry one.
    """

    def __init__(
        self,
        prepared: ReviewDataset,
        cache: VectorStore | None,
        retriever: Retriever,
        builder: PromptBuilder,
        history_reader: Callable[[Example], UserHistory] | None = None,
    ) -> None:
        self.prepared, self.cache, self.retriever, self.builder = prepared, cache, retriever, builder
        self._history_reader = history_reader
        self._vectors: Mapping[str, Vectors] | None = None
        self._past: UserHistoryReader | None = None

    def vectors(self) -> Mapping[str, Vectors] | None:
        """Return the vectors of all categories, cached; None for a method without vectors."""
        if self.cache is not None and self._vectors is None:
            self._vectors = {
                category: self.cache.vectors(corpus, self.prepared.pool[category])
                for category, corpus in self.prepared.corpora.items()
            }
        return self._vectors

    @property
    def width(self) -> int:
        """E, the width of the vectors; 1 for a method without vectors."""
        vectors = self.vectors()
        return next(iter(vectors.values())).his_NE.shape[1] if vectors else 1

    def statistics(self, branches: Sequence[Branch]) -> dict[Branch, tuple[Tensor, Tensor]]:
        """Return each branch's mean and standard deviation [E] over the reviews in training examples' profiles.

        A branch is a kind of vector: `diff` has the differences of reviews that have peers, and any other branch the
        reviews' own vectors.
        A branch with fewer than two vectors, as `diff` where no item has two reviewers, gets mean 0 and deviation 1.
        """
        vectors = self.vectors() or {}
        rows: dict[str, set[int]] = {}
        for example in self.prepared.examples:
            if example.split == "train":
                rows.setdefault(example.category, set()).update(example.profile)
        found: dict[Branch, tuple[Tensor, Tensor]] = {}
        for branch in branches:
            parts = []
            for category, chosen in sorted(rows.items()):
                at = torch.tensor(sorted(chosen))
                if branch == "diff":
                    at = at[vectors[category].peers_N[at] > 0]
                parts.append((vectors[category].diff_NE if branch == "diff" else vectors[category].his_NE)[at])
            every = torch.cat(parts).double()
            if len(every) < 2:
                found[branch] = torch.zeros(every.shape[1]), torch.ones(every.shape[1])
                continue
            found[branch] = (every.mean(0).float(), every.std(0).clamp(min=1e-6).float())
        return found

    def requests(self, split: Split) -> Requests:
        """Return the requests of one split."""
        return self.requests_of(self.examples(split))

    def examples(self, split: Split) -> list[Example]:
        """Return the examples of one split."""
        return [example for example in self.prepared.examples if example.split == split]

    def requests_of(self, examples: Sequence[Example]) -> Requests:
        """Return the requests of some examples."""
        prompt = self.builder.config
        return Requests(
            examples,
            self.prepared.corpora,
            self.vectors(),
            self.retriever,
            prompt.history,
            prompt.pairing,
            self._history_reader or self.user_history(),
            self.shown_differences(),
        )

    def shown_differences(self) -> dict[str, ShownDifferences] | None:
        """Return what computes differences that depend on the prompt, by category; None if no difference does."""
        vectors, cache = self.vectors(), self.cache
        if vectors is None or cache is None or not cache.difference.depends_on_prompt:
            return None
        return {
            category: ShownDifferences(corpus, vectors[category], self.prepared.pool[category])
            for category, corpus in self.prepared.corpora.items()
        }

    def user_history(self) -> UserHistoryReader | None:
        """Return the reader of users' whole histories; None if prompts carry no such history."""
        if self._past is None and self.builder.config.reads_user_history:
            vectors = self.vectors()
            assert self.cache is not None, "a user's embedding is made of vectors"
            assert vectors is not None, "a user's embedding is made of vectors"
            prompt, difference, peers, shown = self.builder.config, self.cache.difference, None, None
            if prompt.reads_differences:
                pool, shown = self.prepared.pool, self.shown_differences()
                peers = {
                    category: PeerMeans(corpus, vectors[category], pool[category], difference)
                    for category, corpus in self.prepared.corpora.items()
                }
            self._past = UserHistoryReader(self.prepared, self.cache, vectors, prompt.max_user_history, peers, shown)
        return self._past

    def prompts(self, requests: Sequence[Request]) -> PromptDataset:
        """Return the prompts of `requests`."""
        return PromptDataset(requests, self.builder)
