"""Whether vectors identify their author: a leave-one-out nearest-centroid probe, without any language model.

A user's centroid is the mean of their vectors without the probed one; a vector's predicted author is the user with the
nearest centroid by cosine. `both` is his and diff, each at unit length, concatenated. Where `both` does not beat `his`,
the difference holds no information on the author beyond the review's own vector.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from dep.types import Corpus, Example, Vectors
from dep.utils.errors import DepError


@dataclass(frozen=True)
class ProbeRow:
    """What one kind of vector tells of the author."""

    vectors: str
    """`his`, `diff` or `both`."""
    accuracy: float
    mrr: float
    """Mean reciprocal rank of the author; among equals the author comes first."""
    n: int
    chance: float
    """1 / users."""


def user_rows(examples: Iterable[Example], category: str) -> list[int]:
    """All rows of the users who have a test example: its target and its profile."""
    return sorted({row for e in examples if (e.category, e.split) == (category, "test") for row in (*e.profile, e.row)})


def probe(corpus: Corpus, vectors: Vectors, rows: Sequence[int]) -> list[ProbeRow]:
    """Probe his, diff and both for the author of each of `rows`.

    Args:
        corpus: the reviews, for their authors.
        vectors: their vectors.
        rows: rows to probe; those without peers, then those whose author has no other row, are left out.

    Returns:
        Three rows: his, diff, both, all on the same reviews.

    Raises:
        ValueError: fewer than two users are left.
    """
    rows = [row for row in rows if vectors.peers_N[row] > 0]
    written = Counter(corpus.reviews[row].user for row in rows)
    rows = [row for row in rows if written[corpus.reviews[row].user] > 1]
    names = sorted({corpus.reviews[row].user for row in rows})
    if len(names) < 2:
        raise DepError(
            f"{corpus.category}: expected two users with two reviews of items that others reviewed, found "
            f"{len(names)}; probe a larger corpus, or prepare it with peer_pool='all'"
        )
    code = {name: at for at, name in enumerate(names)}
    user_Q = torch.tensor([code[corpus.reviews[row].user] for row in rows])
    his_QE, diff_QE = vectors.his_NE[rows].double(), vectors.diff_NE[rows].double()
    both = torch.cat([normalize(his_QE, dim=1), normalize(diff_QE, dim=1)], dim=1)
    return [_probe_one(name, x, user_Q, len(names)) for name, x in (("his", his_QE), ("diff", diff_QE), ("both", both))]


def _probe_one(name: str, x_QE: Tensor, user_Q: Tensor, users: int) -> ProbeRow:
    sum_UE = torch.zeros(users, x_QE.shape[1], dtype=x_QE.dtype).index_add_(0, user_Q, x_QE)
    unit_QE = normalize(x_QE, dim=1)
    cosine_QU = unit_QE @ normalize(sum_UE, dim=1).T
    own_Q = (unit_QE * normalize(sum_UE[user_Q] - x_QE, dim=1)).sum(1)
    others_QU = cosine_QU.scatter(1, user_Q.unsqueeze(1), -torch.inf)
    rank_Q = 1 + (others_QU > own_Q.unsqueeze(1)).sum(1)
    return ProbeRow(
        name,
        (rank_Q == 1).double().mean().item(),
        (1 / rank_Q.double()).mean().item(),
        len(user_Q),
        1 / users,
    )
