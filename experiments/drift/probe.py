"""Ridge regression from history vectors to the users' current traits, cross-validated over users.

Users are in five folds, and each fold is tested once. The next fold selects a kind's candidate (half-life) and the
penalty, with models fitted to the other three folds. The selected model is fitted to all four. Test users take no part
in the selection or the fit.

Shape suffixes: Q histories, C values of a trait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from dep.data.synthetic.trait_probe import FOLDS, fit, ranked

PENALTIES = (3e-4, 3e-3, 0.03, 0.3, 3.0)

Choice = tuple[str, float]
"""A candidate's name and a penalty."""


def fit_and_score(
    candidates: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
    user_Q: Tensor,
    advance: Callable[[float], None] = lambda done: None,
) -> tuple[dict[str, Tensor], dict[str, list[Choice]]]:
    """Select, fit and score with five folds of users.

    Args:
        candidates: [Q, width] vectors of the histories, by name.
        labels: trait -> [Q, C], 1 for each value that the user has at the target, otherwise 0.
        user_Q: number of each history's user.
        advance: called with 1 after each fold.

    Returns:
        Trait -> scores [Q, C] of test users; trait -> the selected choice of each fold.
    """
    scores = {trait: torch.zeros_like(label_QC) for trait, label_QC in labels.items()}
    chosen: dict[str, list[Choice]] = {trait: [] for trait in labels}
    all_labels_QC, sizes = torch.cat(list(labels.values()), 1), [label_QC.shape[1] for label_QC in labels.values()]
    for fold in range(FOLDS):
        test_Q, validation_Q = user_Q % FOLDS == fold, user_Q % FOLDS == (fold + 1) % FOLDS
        train_Q = ~test_Q & ~validation_Q
        validation: dict[str, dict[Choice, float]] = {trait: {} for trait in labels}
        for name, x in candidates.items():
            for penalty in PENALTIES:
                predicted_QC = fit(x[train_Q], all_labels_QC[train_Q], penalty)(x[validation_Q])
                for trait, score_QC in zip(labels, predicted_QC.split(sizes, 1), strict=True):
                    validation[trait][name, penalty] = ranked(score_QC, labels[trait][validation_Q]).mean().item()
        for trait, label_QC in labels.items():
            name, penalty = max(validation[trait], key=lambda choice: validation[trait][choice])
            x = candidates[name]
            scores[trait][test_Q] = fit(x[~test_Q], label_QC[~test_Q], penalty)(x[test_Q])
            chosen[trait].append((name, penalty))
        advance(1)
    return scores, chosen


def above(score_QC: Tensor, current_QC: Tensor, former_QC: Tensor) -> Tensor:
    """Return the share [Q] of (gained, lost) value pairs whose gained value scores higher; NaN if nothing changed."""
    gained_QC, lost_QC = (current_QC - former_QC).clamp(min=0), (former_QC - current_QC).clamp(min=0)
    pairs_QCC = gained_QC[:, :, None] * lost_QC[:, None, :]
    wins_QCC = (score_QC[:, :, None] > score_QC[:, None, :]).double()
    return (wins_QCC * pairs_QCC).sum((1, 2)) / pairs_QCC.sum((1, 2))
