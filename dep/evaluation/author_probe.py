"""A probe of whether vectors identify the authors of reviews; it needs no language model.

Each user has a centroid, the mean of the user's vectors without the probed one. The predicted author of a vector is the
user whose centroid has the largest cosine with it. The vectors are `his` (a review's own), `diff` (its difference from
peers), and `both`, which concatenates the two after scaling each to unit length. If `both` is not better than `his`,
the difference adds no information about the author to the review's own vector.

Shape suffixes: Q probed reviews, U users, E components of a vector, N reviews of the corpus.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from dep.evaluation.significance import Comparison, mean_interval, paired
from dep.types import Corpus, Example, Vectors
from dep.utils.errors import DepError


@dataclass(frozen=True)
class ProbeRow:
    """The result of the probe for one kind of vector."""

    vectors: str
    """The kind of vector: `his`, `diff` or `both`."""
    accuracy: float
    mrr: float
    """Mean reciprocal rank of the author; ties count in the author's favour."""
    n: int
    """Number of probed reviews."""
    chance: float
    """The accuracy of guessing: 1 / number of users."""
    low: float
    high: float
    """The ends of the 95% bootstrap interval of the accuracy, over users."""


class Ranks(NamedTuple):
    """The author's rank for each probed review, by each kind of vector."""

    users: list[str]
    """The author of each probed review."""
    of: dict[str, Tensor]
    """For each of `his`, `diff` and `both`: [Q] the author's rank, from 1."""

    def gain(self) -> Comparison:
        """Compare the accuracy of `both` with that of `his`: the difference, with a 95% interval over users."""
        return paired((self.of["both"] == 1).double(), (self.of["his"] == 1).double(), self.users)


def user_rows(examples: Iterable[Example], category: str) -> list[int]:
    """Return the sorted rows of all targets and profile reviews of the test examples in a category."""
    return sorted({row for e in examples if (e.category, e.split) == (category, "test") for row in (*e.profile, e.row)})


def probe(corpus: Corpus, vectors: Vectors, rows: Sequence[int]) -> list[ProbeRow]:
    """Predict the author of each review from `his`, from `diff` and from `both`.

    Args:
        corpus: the N reviews, which name their authors.
        vectors: the vectors [N, E] of these reviews.
        rows: the rows of the reviews to probe. Reviews without peers are left out, and then reviews whose author has no
            other review left.

    Returns:
        Three results on the same reviews: for `his`, `diff` and `both`.

    Raises:
        DepError: fewer than two users are left.
    """
    return rows_of(author_ranks(corpus, vectors, rows))


def rows_of(ranks: Ranks) -> list[ProbeRow]:
    """Return one result for each kind of vector."""
    return [_row(name, rank_Q, ranks.users) for name, rank_Q in ranks.of.items()]


def author_ranks(corpus: Corpus, vectors: Vectors, rows: Sequence[int]) -> Ranks:
    """Rank the author of each review in `rows`; arguments and errors are those of `probe`."""
    rows = [row for row in rows if vectors.peers_N[row] > 0]
    reviews_by_user = Counter(corpus.reviews[row].user for row in rows)
    rows = [row for row in rows if reviews_by_user[corpus.reviews[row].user] > 1]
    names = sorted({corpus.reviews[row].user for row in rows})
    if len(names) < 2:
        raise DepError(
            f"{corpus.category}: expected two users with two reviews of items that others reviewed, found "
            f"{len(names)}; probe a larger corpus, or prepare it with peer_pool='all'"
        )
    number = {name: at for at, name in enumerate(names)}
    user_Q = torch.tensor([number[corpus.reviews[row].user] for row in rows])
    his_QE, diff_QE = vectors.his_NE[rows].double(), vectors.diff_NE[rows].double()
    both = torch.cat([normalize(his_QE, dim=1), normalize(diff_QE, dim=1)], dim=1)
    kinds = {"his": his_QE, "diff": diff_QE, "both": both}
    return Ranks([names[at] for at in user_Q], {name: _ranks(x_QE, user_Q, len(names)) for name, x_QE in kinds.items()})


def _ranks(x_QE: Tensor, user_Q: Tensor, users: int) -> Tensor:
    """[Q] the rank of each vector's author among all users."""
    sum_UE = torch.zeros(users, x_QE.shape[1], dtype=x_QE.dtype).index_add_(0, user_Q, x_QE)
    unit_QE = normalize(x_QE, dim=1)
    cosine_QU = unit_QE @ normalize(sum_UE, dim=1).T
    own_Q = (unit_QE * normalize(sum_UE[user_Q] - x_QE, dim=1)).sum(1)
    others_QU = cosine_QU.scatter(1, user_Q.unsqueeze(1), -torch.inf)
    return 1 + (others_QU > own_Q.unsqueeze(1)).sum(1)


def _row(name: str, rank_Q: Tensor, users: Sequence[str]) -> ProbeRow:
    accuracy = mean_interval((rank_Q == 1).double(), users)
    mrr = (1 / rank_Q.double()).mean().item()
    return ProbeRow(name, accuracy.value, mrr, len(users), 1 / len(set(users)), accuracy.low, accuracy.high)
