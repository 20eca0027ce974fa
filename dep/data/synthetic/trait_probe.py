"""A probe that measures how well the vector of one review predicts the sayings of its author.

For each of the 48 concepts, a ridge regression predicts from the review's vector whether the concept is among the four
sayings of the author. The regression is fitted on four fifths of the users and evaluated on the rest. A review mentions
sayings and facts in the same kinds of sentence, and only peers' reviews distinguish the two, so `diff` should predict
more than `his`. With drift, the labels are the sayings that the author had when the review was written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dep.data.synthetic.language import CONCEPTS
from dep.data.vectors.store import Vectors
from dep.types import Corpus

FOLDS = 5


@dataclass(frozen=True)
class TraitRow:
    """The result of the probe for one kind of vector."""

    vectors: str
    auc_U: Tensor
    """[U], each user's mean AUC: how well sayings are told from other concepts; 0.5 is chance."""
    n: int
    """Number of reviews."""


class Ridge(NamedTuple):
    """A fitted ridge regression, which maps x to (x - mean) weight + base."""

    mean_E: Tensor
    weight_EC: Tensor
    base_C: Tensor

    def __call__(self, x_NE: Tensor) -> Tensor:
        """Return the scores [N, C] of the C concepts."""
        return (x_NE - self.mean_E) @ self.weight_EC + self.base_C


def fit(x_NE: Tensor, label_NC: Tensor, ridge: float) -> Ridge:
    """Fit a ridge regression; its penalty is `ridge` times the number of rows times the variance of `x_NE`."""
    mean_E, base_C = x_NE.mean(0), label_NC.mean(0)
    a = x_NE - mean_E
    gram = a.T @ a + ridge * len(a) * torch.eye(a.shape[1], dtype=a.dtype) * a.var()
    return Ridge(mean_E, torch.linalg.solve(gram, a.T @ (label_NC - base_C)), base_C)


def ranked(score_QC: Tensor, label_QC: Tensor) -> Tensor:
    """Return the AUC of each row [Q]: the probability that a positive label is ranked above a negative one."""
    rank_QC = score_QC.argsort(1).argsort(1).double() + 1
    positive_Q = label_QC.sum(1)
    wins_Q = (rank_QC * label_QC).sum(1) - positive_Q * (positive_Q + 1) / 2
    return wins_Q / (positive_Q * (label_QC.shape[1] - positive_Q))


def traits(user: Mapping[str, Any], time: int) -> Mapping[str, Any]:
    """Return the traits that a user has at `time`; `user` is an entry of the truth file."""
    later = user.get("later")
    return {**user, **later} if later and time >= later["since"] else user


def planted(
    corpora: Mapping[str, Corpus], vectors: Mapping[str, Vectors], folder: Path, ridge: float = 1e-2
) -> list[TraitRow]:
    """Run the probe on `his`, on `diff` and on both, over all categories together.

    Args:
        corpora: the reviews.
        vectors: the vectors of the reviews.
        folder: the folder that holds the world's truth files.
        ridge: weight of the penalty for each review.

    Returns:
        One result for each kind of vector, all on the same reviews and users.
    """
    truth = {c: json.loads((folder / f"truth_{c}.json").read_text(encoding="utf-8"))["users"] for c in corpora}
    his, diff, label, user = [], [], [], []
    for category, corpus in corpora.items():
        known = torch.tensor([r.user in truth[category] for r in corpus.reviews]) & (vectors[category].peers_N > 0)
        rows = known.nonzero()[:, 0].tolist()
        his.append(vectors[category].his_NE[rows].double())
        diff.append(vectors[category].diff_NE[rows].double())
        for row in rows:
            review = corpus.reviews[row]
            sayings = traits(truth[category][review.user], review.time)["sayings"]
            label.append([concept in sayings for concept in CONCEPTS])
            user.append(f"{category}/{review.user}")
    his_NE, diff_NE, label_NC = torch.cat(his), torch.cat(diff), torch.tensor(label).double()
    code = {name: at for at, name in enumerate(sorted(set(user)))}
    user_N = torch.tensor([code[name] for name in user])
    kinds = {"his": his_NE, "diff": diff_NE, "both": torch.cat([his_NE, diff_NE], 1)}
    return [TraitRow(kind, _auc(x, label_NC, user_N, ridge), len(user_N)) for kind, x in kinds.items()]


def _auc(x_NE: Tensor, label_NC: Tensor, user_N: Tensor, ridge: float) -> Tensor:
    users = int(user_N.max()) + 1
    auc_N = torch.zeros(len(user_N), dtype=torch.float64)
    for fold in range(FOLDS):
        asked = user_N % FOLDS == fold
        auc_N[asked] = ranked(fit(x_NE[~asked], label_NC[~asked], ridge)(x_NE[asked]), label_NC[asked])
    total = torch.zeros(users, dtype=torch.float64).index_add_(0, user_N, auc_N)
    return total / torch.bincount(user_N, minlength=users)
