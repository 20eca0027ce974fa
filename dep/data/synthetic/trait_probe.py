"""A probe that measures how well the vector of one review predicts the sayings of its author.

For each of the 48 concepts, a ridge regression predicts from the review's vector whether the concept is among the four
sayings of the author. The regression is fitted on four fifths of the users and evaluated on the rest. A review mentions
sayings and facts in the same kinds of sentence, and only peers' reviews distinguish the two. A review's difference from
its peers (`diff`, see `dep.types.Vectors`) should therefore predict more than its own vector (`his`). `both` is the
two, one after the other. With drift, the labels are the sayings that the author had when the review was written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dep.data.synthetic.language import CONCEPTS
from dep.data.synthetic.truth import truth_of
from dep.data.vectors.store import Vectors
from dep.types import Corpus

FOLDS = 5


@dataclass(frozen=True)
class TraitRow:
    """The result of the probe for one kind of vector."""

    vectors: str
    auc_U: Tensor
    """[U], each user's mean AUC: how often a label of the author is scored above a rival; 0.5 is chance."""
    n: int
    """Number of reviews."""
    trait: str = "sayings"


class Ridge(NamedTuple):
    """A fitted ridge regression, which maps x to (x - mean) weight + base."""

    mean_E: Tensor
    weight_EC: Tensor
    base_C: Tensor

    def __call__(self, x_NE: Tensor) -> Tensor:
        """Return the scores [N, C] of the C labels, such as concepts."""
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
    """Return the traits that a user has at `time`.

    Args:
        user: the user's entry in `truth_<category>.json`, which holds the planted traits.
        time: in milliseconds since 1970.
    """
    later = user.get("later")
    return {**user, **later} if later and time >= later["since"] else user


def sayings_of(folder: Path, category: str) -> dict[str, set[str]]:
    """Return the sayings of each user of a world, by the user's name; with drift, those of the first half.

    Args:
        folder: the folder with `truth_<category>.json`.
        category: the category.
    """
    return {name: set(user["sayings"]) for name, user in truth_of(folder, category)["users"].items()}


def planted(
    corpora: Mapping[str, Corpus], vectors: Mapping[str, Vectors], folder: Path, ridge: float = 1e-2
) -> list[TraitRow]:
    """Run the probe on `his`, on `diff` and on `both`, over all categories together.

    Reviews without peers are left out.

    Args:
        corpora: the reviews.
        vectors: the vectors of the reviews.
        folder: the folder with `truth_<category>.json` of each category, which holds the planted traits.
        ridge: weight of the penalty for each review.

    Returns:
        One result for each kind of vector, all on the same reviews and users.
    """
    truth = {category: truth_of(folder, category)["users"] for category in corpora}
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
    return probe_labels(his_NE, diff_NE, {"sayings": (label_NC, 1 - label_NC)}, user, ridge)


def probe_labels(
    his_NE: Tensor, diff_NE: Tensor, labels: Mapping[str, tuple[Tensor, Tensor]], user: Sequence[str], ridge: float
) -> list[TraitRow]:
    """Probe `his`, `diff` and `both` for traits of the reviews' authors.

    Args:
        his_NE: vectors of reviews.
        diff_NE: their differences from peers.
        labels: trait -> indicators [N, C] of what the author has, and of what it is ranked against.
        user: author of each review; no author is in both a fold's training and its test part.
        ridge: weight of the penalty, per review.

    Returns:
        One row for each trait and kind of vector.
    """
    code = {name: at for at, name in enumerate(sorted(set(user)))}
    user_N = torch.tensor([code[name] for name in user])
    kinds = {"his": his_NE, "diff": diff_NE, "both": torch.cat([his_NE, diff_NE], 1)}
    auc = {kind: _auc(x_NE, labels, user_N, ridge) for kind, x_NE in kinds.items()}
    return [TraitRow(kind, auc[kind][trait], len(user_N), trait) for trait in labels for kind in kinds]


def _auc(x_NE: Tensor, labels: Mapping[str, tuple[Tensor, Tensor]], user_N: Tensor, ridge: float) -> dict[str, Tensor]:
    """Return each user's mean AUC [U] by trait; one regression has the labels of all traits as its outputs."""
    users = int(user_N.max()) + 1
    sizes = [has_NC.shape[1] for has_NC, _ in labels.values()]
    label_NC, score_NC = torch.cat([has_NC for has_NC, _ in labels.values()], 1), x_NE.new_zeros(len(x_NE), sum(sizes))
    for fold in range(FOLDS):
        asked = user_N % FOLDS == fold
        score_NC[asked] = fit(x_NE[~asked], label_NC[~asked], ridge)(x_NE[asked])
    result = {}
    for (trait, (has_NC, rival_NC)), own_score_NC in zip(labels.items(), score_NC.split(sizes, 1), strict=True):
        total = x_NE.new_zeros(users).index_add_(0, user_N, beaten(own_score_NC, has_NC, rival_NC))
        result[trait] = total / torch.bincount(user_N, minlength=users)
    return result


def beaten(score_NC: Tensor, has_NC: Tensor, rival_NC: Tensor) -> Tensor:
    """Return the AUC of each row [N]: how often a label that the author has is scored above a rival label.

    It is 0.5 for a row that has no such label or no rival.
    """
    parts = []
    for score, has, rival in zip(score_NC.split(512), has_NC.split(512), rival_NC.split(512), strict=True):
        above = (score[:, :, None] > score[:, None, :]).to(score.dtype)
        pairs = has.sum(1) * rival.sum(1)
        wins = torch.einsum("nij,ni,nj->n", above, has, rival)
        parts.append(torch.where(pairs > 0, wins / pairs.clamp(min=1), 0.5))
    return torch.cat(parts)
