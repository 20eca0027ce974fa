"""The LightningDataModule: computes and caches vectors, builds prompts, and makes batches of them.

Each epoch draws a seeded permutation of the examples and cuts it into windows of `effective_batch` examples. A window
is what one optimizer step trains on, so it depends neither on the size of micro batches nor on the number of devices.
Within a window, examples of similar length form a micro batch, which saves padding. The only number that this changes
is a compressor's mean over the micro batch (`mean_over`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch.utils.data import DataLoader, Sampler

from dep.data.arm_requests import ArmRequests, PromptDataset
from dep.data.collate import Collator, add_noise
from dep.data.prompts.builder import PromptBuilder
from dep.data.protocol import ReviewDataset
from dep.data.retrievers.base import Retriever
from dep.data.vectors.store import VectorStore
from dep.types import Batch, Example, Prompt, Request, Split, UserHistory
from dep.utils.errors import DepError
from dep.utils.lightning import pl


class MicroBatch(list[int]):
    """The positions of a micro batch's examples; `window` holds those of all examples in the same optimizer step."""

    def __init__(self, rows: Iterable[int], window: Sequence[int]) -> None:
        super().__init__(rows)
        self.window = window


class TrainingPrompts(PromptDataset):
    """A data set of prompts that a training loop reads one micro batch at a time.

    Args:
        requests: the requests of the training examples.
        builder: builds the prompts.
        weights: by an example's key the weights of its target's tokens in the loss; None for 1.
    """

    def __init__(
        self, requests: Sequence[Request], builder: PromptBuilder, weights: Mapping[str, Sequence[float]] | None = None
    ) -> None:
        super().__init__(requests, builder)
        self.weights = weights

    def __getitem__(self, at: int) -> Prompt:
        prompt = super().__getitem__(at)
        if self.weights is None:
            return prompt
        weights = self.weights[prompt.key]
        assert len(weights) == len(prompt.target), "a weight for each token of the target"
        return replace(prompt, weights=weights)

    def __getitems__(self, rows: MicroBatch) -> list[tuple[Prompt, int, int]]:
        """Return a micro batch as (prompt, examples, target tokens); the two numbers count the whole optimizer step."""
        tokens = sum(len(self[at].target) for at in rows.window)
        return [(self[at], len(rows.window), tokens) for at in rows]


class WindowSampler(Sampler[list[int]]):
    """Yields the micro batches of one rank.

    The epoch's permutation is cut into windows of `effective_batch` examples, which are sorted by length. With `fill`,
    the last window is filled up from the front of the permutation, so that all optimizer steps average over equally
    many examples. Without, the last window stays short, which works on one rank only. `passed` is the number of epochs
    that the warm start has trained before.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        effective_batch: int,
        micro_batch: int,
        seed: int,
        place: Callable[[], tuple[int, int, int]],
        passed: int = 0,
        fill: bool = True,
    ) -> None:
        self.passed, self.fill = passed, fill
        self.lengths, self.effective, self.micro, self.seed, self.place = (
            lengths,
            effective_batch,
            micro_batch,
            seed,
            place,
        )

    def __len__(self) -> int:
        _, _, ranks = self.place()
        if not self.fill:
            full, left = divmod(len(self.lengths), self.effective)
            return full * (self.effective // self.micro) + -(-left // self.micro)
        return -(-len(self.lengths) // self.effective) * self.effective // (self.micro * ranks)

    def __iter__(self) -> Iterator[list[int]]:
        epoch, rank, ranks = self.place()
        lengths = self.lengths
        order = torch.randperm(
            len(lengths), generator=torch.Generator().manual_seed(self.seed * 100_003 + self.passed + epoch)
        ).tolist()
        for start in range(0, len(order), self.effective):
            window = order[start : start + self.effective]
            while self.fill and len(window) < self.effective:
                window += order[: self.effective - len(window)]
            window.sort(key=lambda at: (lengths[at], at))
            for micro in range(rank * self.micro, len(window), self.micro * ranks):
                yield MicroBatch(window[micro : micro + self.micro], window)


@dataclass(frozen=True)
class Batching:
    """Settings of batches: their sizes, the seed of their order, and the noise on vectors."""

    effective_batch: int
    micro_batch: int
    eval_batch: int
    seed: int
    passed: int = 0
    input_noise: float = 0.0
    fill: bool = True
    max_examples: int | None = None
    """Largest number of training examples; None takes all."""


class ReviewData(ArmRequests, pl.LightningDataModule):
    """The data module of one arm, that is, of one method with its settings.

    Args:
        prepared: filtered corpora and examples.
        cache: the vector store; None for a method without vectors.
        retriever: chooses past reviews.
        builder: builds prompts; its `config.history` says how many past reviews are retrieved.
        pad_id: the tokenizer's padding id.
        batching: sizes of batches, and their seed.
        history_reader: see `ArmRequests`.
    """

    def __init__(
        self,
        prepared: ReviewDataset,
        cache: VectorStore | None,
        retriever: Retriever,
        builder: PromptBuilder,
        pad_id: int,
        batching: Batching,
        history_reader: Callable[[Example], UserHistory] | None = None,
    ) -> None:
        pl.LightningDataModule.__init__(self)
        ArmRequests.__init__(self, prepared, cache, retriever, builder, history_reader)
        self.batching = batching
        self.collate = Collator(pad_id)
        self.token_weights: Mapping[str, Sequence[float]] | None = None
        """The weights of training targets' tokens by the example's key; set this before the training."""
        self._training: TrainingPrompts | None = None

    def prepare_data(self) -> None:
        """Compute and cache the vectors in one process; the other processes read the cache."""
        self.vectors()

    def examples(self, split: Split) -> list[Example]:
        """Return the examples of one split; those of training may be a sample, the same for every arm and seed."""
        examples = super().examples(split)
        limit = self.batching.max_examples
        if split == "train" and limit is not None and limit < len(examples):
            chosen = torch.randperm(len(examples), generator=torch.Generator().manual_seed(0))[:limit]
            examples = [examples[at] for at in sorted(chosen.tolist())]
        return examples

    def training_prompts(self) -> TrainingPrompts:
        """Return the prompts of all training examples, the same object in each call."""
        if self._training is None:
            self._training = TrainingPrompts(self.requests("train"), self.builder, self.token_weights)
        return self._training

    def validation_prompts(self) -> PromptDataset:
        """Return the prompts of all validation examples."""
        return self.prompts(self.requests("val"))

    def train_dataloader(self) -> DataLoader[Prompt]:
        """Return the loader of this rank's micro batches, in the order of the current epoch."""
        prompts = self.training_prompts()
        if not len(prompts):
            raise DepError("expected training examples, found none; lower the protocol's thresholds")
        lengths = [p.computed + len(p.target) for p in (prompts[at] for at in range(len(prompts)))]
        trainer = self.trainer
        assert trainer is not None, "Lightning sets the trainer before it asks for batches"
        windows = WindowSampler(
            lengths,
            self.batching.effective_batch,
            self.batching.micro_batch,
            self.batching.seed,
            lambda: (trainer.current_epoch, trainer.global_rank, trainer.world_size),
            self.batching.passed,
            self.batching.fill,
        )

        def collate(some: list[tuple[Prompt, int, int]]) -> Batch:
            batch, epoch = self.collate([prompt for prompt, *_ in some]), self.batching.passed + trainer.current_epoch
            _, batch.window_examples, batch.window_tokens = some[0]
            noisy = epoch > 0 and self.batching.input_noise > 0
            return add_noise(batch, self.batching.input_noise, f"{self.batching.seed} {epoch}") if noisy else batch

        return DataLoader(prompts, batch_sampler=windows, collate_fn=collate)

    def val_dataloader(self) -> DataLoader[Prompt]:
        """Return the loader of all validation examples; it is the same on every rank."""
        prompts = self.validation_prompts()
        return DataLoader(prompts, batch_size=self.batching.eval_batch, collate_fn=self.collate)
