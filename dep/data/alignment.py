"""Examples that teach an adapter what a vector means, before it is asked about a user (`train.align`).

    his     from the vector of a review, write that review
    diff    from its difference and from what others wrote about the item, write that review

An alignment example is an `Example` whose profile is the target itself. It gives an adapter for past reviews one slot,
and an adapter for a whole history a history of one review. The reviews are those of the training population; what
others wrote comes from there too, also where the reconstruction of held-out reviews is measured.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Literal

from dep.data.arm_requests import PromptDataset
from dep.data.datamodule import Batching, ReviewData, TrainingPrompts
from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.requests import MappedRequests, Requests
from dep.data.protocol import ReviewDataset
from dep.data.training_population import training_rows
from dep.types import Corpus, Example, Prompt, Request, Slot, Split
from dep.utils.errors import DepError

Task = Literal["his", "diff"]
OTHERS = 3
"""Largest number of other reviews of the item that a prompt of the task `diff` shows."""
OTHER_TOKENS = 64
"""Largest number of tokens of each of these reviews; fewer where `prompt.max_input_tokens` is small."""


class OtherReviews:
    """Finds what other users of the training population wrote about an item.

    Args:
        prepared: the corpora and examples.
        cut: cuts the text of a review to the length that a prompt shows.
    """

    def __init__(self, prepared: ReviewDataset, cut: Callable[[str], str]) -> None:
        self.cut = cut
        self._of_item: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        for category, rows in training_rows(prepared.corpora, prepared.examples).items():
            for row in rows:
                review = prepared.corpora[category].reviews[row]
                self._of_item[category, review.item].append((review.user, review.text))

    def __call__(self, category: str, item: str, user: str) -> list[str]:
        """Return up to `OTHERS` texts about an item by other users than `user`."""
        return [self.cut(text) for writer, text in self._of_item[category, item] if writer != user][:OTHERS]


def task_requests(requests: Sequence[Request], task: Task, others: OtherReviews) -> MappedRequests:
    """Turn requests into those of one alignment task.

    Args:
        requests: requests whose only past review is the target.
        task: which vector stays, and whether others' reviews stand in the place of the item's description.
        others: finds these reviews.
    """

    def slot_of(slot: Slot) -> Slot:
        """Keep the task's vector alone; the item's description already stands above the past reviews."""
        item = replace(slot.item, description="")
        return replace(slot, item=item, diff=None) if task == "his" else replace(slot, item=item, his=None)

    def changed(_: int, request: Request) -> Request:
        item = request.item
        if task == "diff":
            texts = others(request.category, item.item, request.user)
            numbered = (f"({number}) {text}" for number, text in enumerate(texts, 1))
            item = replace(item, description=f"Others wrote: {' '.join(numbered)}")
        return replace(request, key=f"{request.key}/{task}", item=item, slots=tuple(map(slot_of, request.slots)))

    return MappedRequests(requests, changed)


class SpreadPrompts(PromptDataset):
    """Prompts of one past review each, which take turns in the slot index that they show for it.

    An adapter with parameters for each slot index then learns all of them; others do not read the index.
    """

    def __init__(self, requests: Sequence[Request], builder: PromptBuilder, slots: int) -> None:
        super().__init__(requests, builder)
        self.slots = slots

    def __getitem__(self, at: int) -> Prompt:
        prompt = super().__getitem__(at)
        shown = at % self.slots if self.slots else 0
        return replace(prompt, positions={branch: [shown] * len(ks) for branch, ks in prompt.positions.items()})


class SpreadTraining(SpreadPrompts, TrainingPrompts):
    """`SpreadPrompts` that a training loop reads one micro batch at a time."""


class _Itself:
    """A retriever that returns the whole profile: the target of an alignment example."""

    kind = "itself"

    def fingerprint(self) -> str:
        return ""

    def __call__(self, example: Example, corpus: Corpus, k: int) -> list[int]:
        return list(example.profile)


class AlignmentData(ReviewData):
    """The data module of the alignment stage.

    Args:
        data: the data module of the arm, whose reviews and vectors are used.
        builder: builds prompts with one past review, or with none for an adapter that reads a whole history.
        batching: sizes of batches, and the seed of their order and of the choice of training examples.
        tasks: the tasks.
        slots: number of slot indices over which the past reviews of prompts are spread.
        max_examples: largest number of training examples of all tasks together; None for all.
        held_out: largest number of held-out reviews for each task.

    Raises:
        DepError: there is no training example.
    """

    def __init__(
        self,
        data: ReviewData,
        builder: PromptBuilder,
        batching: Batching,
        tasks: Sequence[Task],
        slots: int,
        max_examples: int | None,
        held_out: int,
    ) -> None:
        limit = min(OTHER_TOKENS, builder.config.max_input_tokens // (4 * OTHERS))
        self.others = OtherReviews(data.prepared, lambda text: builder.cut(text, limit))
        self.tasks, self.slots, self.source = list(tasks), slots, data
        train = [
            (row, category)
            for category, rows in training_rows(data.prepared.corpora, data.prepared.examples).items()
            for row in rows
        ]
        held = sorted((e.row, e.category) for e in data.prepared.examples if e.split == "val")
        pairs = [(task, pair) for task in self.tasks for pair in self._usable(train, task)]
        random.Random(batching.seed).shuffle(pairs)
        pairs = pairs[:max_examples]
        if not pairs:
            raise DepError(
                "train.align", f"training reviews for the tasks {', '.join(tasks)}", "none",
                "name other tasks in train.align.tasks, or set train.align.epochs=0",
            )  # fmt: skip
        self._rows: dict[tuple[Split, Task], list[tuple[int, str]]] = {}
        for task in self.tasks:
            self._rows["train", task] = sorted(pair for name, pair in pairs if name == task)
            chosen = self._usable(held, task)
            random.Random(0).shuffle(chosen)  # the same reviews for all arms and seeds
            self._rows["val", task] = sorted(chosen[:held_out])
        kept = {(split, *pair) for (split, _), rows in self._rows.items() for pair in rows}
        examples = [_example(split, row, category) for split, row, category in sorted(kept)]
        prepared = data.prepared._replace(examples=examples)
        super().__init__(prepared, data.cache, _Itself(), builder, data.collate.pad_id, batching)
        self._vectors = data.vectors()

    def _usable(self, pairs: Sequence[tuple[int, str]], task: Task) -> list[tuple[int, str]]:
        """Keep the reviews (row, category) of which a task can be made: `diff` needs peers and others' reviews."""
        if task == "his":
            return list(pairs)
        vectors, corpora = self.source.vectors() or {}, self.source.prepared.corpora
        with_peers = (pair for pair in pairs if vectors[pair[1]].peers_N[pair[0]] > 0)
        return [
            (row, category)
            for row, category in with_peers
            if self.others(category, (review := corpora[category].reviews[row]).item, review.user)
        ]

    def plain(self, split: Split, task: Task) -> Requests:
        """Return the requests of a split and a task, each with the target as its only past review, with all vectors."""
        return self.requests_of([_example(split, row, category) for row, category in self._rows[split, task]])

    def of_task(self, requests: Sequence[Request], task: Task) -> MappedRequests:
        """Turn plain requests into those of a task."""
        return task_requests(requests, task, self.others)

    def prompts(self, requests: Sequence[Request]) -> PromptDataset:
        """Return the prompts of `requests`."""
        return SpreadPrompts(requests, self.builder, self.slots)

    @cached_property
    def _training_prompts(self) -> SpreadTraining:
        return SpreadTraining(self._all("train"), self.builder, self.slots)

    def training_prompts(self) -> TrainingPrompts:
        """Return the prompts of all training examples of all tasks, the same object in each call."""
        return self._training_prompts

    def validation_prompts(self) -> PromptDataset:
        """Return the prompts of all held-out reviews for all tasks."""
        return self.prompts(self._all("val"))

    def _all(self, split: Split) -> list[Request]:
        return [request for task in self.tasks for request in self.of_task(self.plain(split, task), task)]


def _example(split: Split, row: int, category: str) -> Example:
    return Example(category, split, row, (row,))
