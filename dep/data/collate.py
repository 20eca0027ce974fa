"""Pads the prompts of several examples into one `Batch`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dep.types import IGNORE, Batch, Branch, Prompt, UserHistoryBatch
from dep.types.memory import Memory
from dep.utils.hashing import seed_from


@dataclass(frozen=True)
class Collator:
    """Pads prompts to the length of the longest one.

    With `answers`, for training and scoring, an example is its prompt and its review, and the labels are the review's
    tokens. Without, for generation, it is the prompt alone, padded on the left.
    """

    pad_id: int
    side: Literal["left", "right"] = "right"
    answers: bool = True

    def __call__(self, prompts: Sequence[Prompt]) -> Batch:
        """Build the batch of `prompts`; `Batch` documents the shape of every tensor."""
        rows = [torch.tensor(p.ids + p.target if self.answers else p.ids) for p in prompts]
        labels = [
            torch.tensor([IGNORE] * len(p.ids) + p.target if self.answers else [IGNORE] * len(p.ids)) for p in prompts
        ]
        batch = Batch(
            keys=[p.key for p in prompts],
            ids=self._pad(rows, self.pad_id),
            attention_mask=self._pad([torch.ones_like(row) for row in rows], 0),
            labels=self._pad(labels, IGNORE),
            cuts=[p.cuts for p in prompts],
        )
        if self.answers and any(p.weights for p in prompts):
            weights = [[0.0] * len(p.ids) + list(p.weights or [1.0] * len(p.target)) for p in prompts]
            batch.weights = self._pad([torch.tensor(row) for row in weights], 0)
        branches = {branch: None for p in prompts for branch in p.vectors}
        for branch in branches:
            self._add_vectors(batch, branch, prompts)
        for branch in {branch: None for p in prompts for branch in p.cut_vectors}:
            cut = [p.cut_vectors.get(branch, []) for p in prompts]
            batch.cut_vectors[branch], batch.cut_present[branch] = _stacked(cut)
        pasts = [p.user_history for p in prompts if p.user_history is not None]
        if pasts:
            batch.user_history = UserHistoryBatch.of(pasts)
            if any(past.memory for past in pasts):
                batch.memory = [Memory.joined(past.memory) for past in pasts]
            counts = torch.tensor([p.user_tokens for p in prompts])
            if counts.any():
                batch.present["user"] = torch.arange(int(counts.max())) < counts[:, None]
        return batch

    def _pad(self, rows: list[Tensor], value: int) -> Tensor:
        return pad_sequence(rows, batch_first=True, padding_value=value, padding_side=self.side)

    def _add_vectors(self, batch: Batch, branch: Branch, prompts: Sequence[Prompt]) -> None:
        batch.vectors[branch], present_BK = _stacked([p.vectors.get(branch, []) for p in prompts])
        index_BK = torch.zeros(present_BK.shape, dtype=torch.long)
        index_BK[present_BK] = torch.tensor([k for p in prompts for k in p.positions.get(branch, ())])
        batch.slot_index[branch], batch.present[branch] = index_BK, present_BK


def _stacked(rows: Sequence[Sequence[Tensor]]) -> tuple[Tensor, Tensor]:
    """Pad each example's vectors [E] with zeros to [B, K, E]; also return a mask [B, K] that is True on vectors."""
    counts = [len(row) for row in rows]
    vectors_BKE = torch.zeros(len(rows), max(counts), next(v.shape[-1] for row in rows for v in row))
    for b, row in enumerate(rows):
        if row:
            vectors_BKE[b, : len(row)] = torch.stack(list(row))
    return vectors_BKE, torch.arange(max(counts)) < torch.tensor(counts)[:, None]


def add_noise(batch: Batch, deviation: float, draw: str) -> Batch:
    """Draw Gaussian noise for every vector of `batch`.

    Args:
        batch: its `noise` is set in place.
        deviation: standard deviation of each component, in the units of the compressor's input.
        draw: seeds the noise together with the example's key, so that the noise does not depend on the batch,
            on the order of examples or on an interruption.

    Returns:
        The same batch.
    """
    for branch, vectors_BKE in batch.vectors.items():
        noise_BKE = torch.zeros_like(vectors_BKE)
        for b, key in enumerate(batch.keys):
            seed = seed_from(f"{draw} {branch} {key}", 7)
            count = int(batch.present[branch][b].sum())  # not K: padding must not change what is drawn
            own = torch.randn(count, vectors_BKE.shape[-1], generator=torch.Generator().manual_seed(seed))
            noise_BKE[b, :count] = deviation * own
        batch.noise[branch] = noise_BKE
    return batch
