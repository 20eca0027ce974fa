"""Reads users' past reviews with the frozen LLM, for an adapter that acts at the LLM's output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.settings import PromptConfig
from dep.inference.target_states import TargetStates, Written
from dep.methods.base import ActivationContext
from dep.types import Example, Item, Request, Review, UserHistory
from dep.types.memory import Memory


class MemoryReader:
    """Makes for each example a `UserHistory` that holds only the past reviews as the LLM read them.

    The first example of a split lets the LLM read the past reviews of all users of the split; they are kept on disk.

    Args:
        context: the reviews, the prompt builder and the LLM.
        longest: largest number of past reviews; the newest are read.
    """

    def __init__(self, context: ActivationContext, longest: int) -> None:
        self.dataset, self.longest = context.dataset, longest
        self._builder, self._states = context.plain, context.target_states
        self._read: dict[tuple[str, int], Memory] = {}

    def __call__(self, example: Example) -> UserHistory:
        """Return the past of the example's user before the target."""
        rows = self._rows(example)
        if any(row not in self._read for row in rows):
            same_split = [other for other in self.dataset.examples if other.split == example.split]
            missing = {row for one in [example, *same_split] for row in self._rows(one) if row not in self._read}
            ordered = sorted(missing)
            pairs = []
            for category, at in ordered:
                corpus = self.dataset.corpora[category]
                review = corpus.reviews[at]
                pairs.append((review, corpus.items[review.item]))
            found = read_past(self._builder, self._states, pairs)
            self._read.update(zip(ordered, found, strict=True))
        return as_history([self._read[row] for row in rows])

    def _rows(self, example: Example) -> list[tuple[str, int]]:
        return [(example.category, row) for row in example.profile[-self.longest :]]


def of_past_reviews(prompt: PromptConfig) -> PromptConfig:
    """Return the settings of the prompts by which the LLM reads past reviews: Non-Perso's, with room for a review."""
    longest = prompt.max_review_tokens or prompt.max_target_tokens
    return replace(prompt, history=0, reads_user_history=False, user_tokens=0, max_target_tokens=longest)


def read_past(builder: PromptBuilder, states: TargetStates, pairs: Sequence[tuple[Review, Item]]) -> list[Memory]:
    """Let the LLM read past reviews, each after its own item, rating and title.

    Args:
        builder: builds Non-Perso's prompts.
        states: reads them.
        pairs: the reviews and their items.
    """
    prompts = []
    for number, (review, item) in enumerate(pairs):
        request = Request(str(number), "", review.user, item, review.rating, review.title, review.text)
        prompt = builder.build(request)
        prompts.append(Written(prompt.ids, prompt.target))
    return states.memories(prompts, f"{len(prompts)} past reviews")


def as_history(memory: Sequence[Memory]) -> UserHistory:
    """Return a history that holds past reviews as the LLM read them, and no vectors."""
    nothing = torch.zeros(0)
    return UserHistory(nothing[:, None], nothing[:, None], nothing, nothing, 0, nothing, memory=tuple(memory))


class HistoryReader:
    """Makes a `UserHistory` of past reviews as the LLM reads them, and remembers what it has read.

    Args:
        builder: builds Non-Perso's prompts.
        states: reads them.
    """

    def __init__(self, builder: PromptBuilder, states: TargetStates) -> None:
        self._builder, self._states = builder, states

    def __call__(self, pairs: Sequence[tuple[Review, Item]]) -> UserHistory:
        """Let the LLM read past reviews and their items, those that it has not read yet."""
        return as_history(read_past(self._builder, self._states, pairs))

    def forget(self, texts: Sequence[str]) -> None:
        """Drop what is remembered of reviews with these texts."""
        self._states.forget([self._builder.target(text) for text in texts])
        self._builder.forget()
