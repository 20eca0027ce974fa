"""A user's past as one vector, in several ways; which of them tells who the user is now is asked in probe.py.

    weighted   Σ w_k his_k / Σ w_k beside the same of diff,   w_k = 2^(-k / half-life)
    state      the user encoder's state after the newest review

k -> how many reviews of the user came after review k (0: the newest)   half-life -> in reviews; infinite: the flat mean
A review without peers has no difference and counts in the mean of his alone.
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
    """Mean of each example's past, [Q, 2 E]: his, then diff."""
    made = []
    for example in examples:
        mine, rows = vectors[example.category], list(example.profile)
        age_K = torch.arange(len(rows) - 1, -1, -1, dtype=torch.float64)
        weight_K = 0.5 ** (age_K / half_life)
        compared_K = weight_K * (mine.peers_N[rows] > 0)
        his_E = weight_K @ mine.his_NE[rows].double() / weight_K.sum()
        diff_E = compared_K @ mine.diff_NE[rows].double() / compared_K.sum().clamp(min=1e-9)
        made.append(torch.cat([his_E, diff_E]))
    return torch.stack(made)


@torch.no_grad()
def states(encoder: UserEncoder, reader: UserHistoryReader, examples: Sequence[Example]) -> Tensor:
    """The encoder's state after each example's past, [Q, W]."""
    encoder.eval()
    made = []
    for at in range(0, len(examples), _BATCH):
        pasts = UserHistoryBatch.of([reader(example) for example in examples[at : at + _BATCH]])
        newest_B = pasts.present.sum(1) - 1
        made.append(encoder(pasts)[torch.arange(len(newest_B)), newest_B])
    return torch.cat(made).double()
