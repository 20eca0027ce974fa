"""Computes vectors of a user's history in several ways; probe.py measures how well each predicts the current traits.

    weighted   Σ w_k his_k / Σ w_k, concatenated with the same of diff,   w_k = 2^(-k / half-life)
    state      the user encoder's state after the newest review

k -> number of the user's reviews after review k (0: the newest)   half-life -> in reviews; infinite: the flat mean
A review without peers has no difference and enters only the mean of his.

Shape suffixes: Q histories, K reviews of a history, E components of a vector, W width of the encoder, B batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dep.data.user_history import UserHistoryReader
from dep.data.vectors.store import Vectors
from dep.models.adapters.user_llm.encoder import UserEncoder
from dep.types import Example, UserHistoryBatch

FLAT = math.inf
_BATCH = 64


def weighted(vectors: Mapping[str, Vectors], examples: Sequence[Example], half_life: float) -> Tensor:
    """Return the weighted mean of each example's history, [Q, 2 E]: his, then diff."""
    means = []
    for example in examples:
        of_category, rows = vectors[example.category], list(example.profile)
        age_K = torch.arange(len(rows) - 1, -1, -1, dtype=torch.float64)
        weight_K = 0.5 ** (age_K / half_life)
        diff_weight_K = weight_K * (of_category.peers_N[rows] > 0)
        his_E = weight_K @ of_category.his_NE[rows].double() / weight_K.sum()
        diff_E = diff_weight_K @ of_category.diff_NE[rows].double() / diff_weight_K.sum().clamp(min=1e-9)
        means.append(torch.cat([his_E, diff_E]))
    return torch.stack(means)


@torch.no_grad()
def states(encoder: UserEncoder, reader: UserHistoryReader, examples: Sequence[Example]) -> Tensor:
    """Return the encoder's state after each example's history, [Q, W]."""
    encoder.eval()
    result = []
    for start in range(0, len(examples), _BATCH):
        histories = UserHistoryBatch.of([reader(example) for example in examples[start : start + _BATCH]])
        newest_B = histories.present.sum(1) - 1
        result.append(encoder(histories)[torch.arange(len(newest_B)), newest_B])
    return torch.cat(result).double()
