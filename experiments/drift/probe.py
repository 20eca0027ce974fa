"""Which vector of a past tells the traits that its user has now? Ridge regression, users apart.

Users are in five folds. Each fold is asked once; the fold after it chooses among a kind's candidates (half-life) and
penalties, on models fitted to the other three; the choice is then fitted to all four. Users who are asked have no part
in what is chosen or fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from dep.data.synthetic.trait_probe import FOLDS, fit, ranked

PENALTIES = (3e-4, 3e-3, 0.03, 0.3, 3.0)

Choice = tuple[str, float]
"""A candidate's name and a penalty."""


def ask(
    candidates: Mapping[str, Tensor],
    now: Mapping[str, Tensor],
    user_Q: Tensor,
    advance: Callable[[float], None] = lambda done: None,
) -> tuple[dict[str, Tensor], dict[str, list[Choice]]]:
    """Fit, choose and ask.

    Args:
        candidates: [Q, width] vectors of the pasts, by name.
        now: trait -> [Q, C], which of its values are true at the target, 0 or 1.
        user_Q: whose target it is, by number.
        advance: told 1 after each fold.

    Returns:
        Trait -> scores [Q, C] of users who were not fitted; trait -> what was chosen, by fold.
    """
    scores = {trait: torch.zeros_like(label_QC) for trait, label_QC in now.items()}
    chosen: dict[str, list[Choice]] = {trait: [] for trait in now}
    every_QC, sizes = torch.cat(list(now.values()), 1), [label_QC.shape[1] for label_QC in now.values()]
    for fold in range(FOLDS):
        asked_Q, judge_Q = user_Q % FOLDS == fold, user_Q % FOLDS == (fold + 1) % FOLDS
        fitted_Q = ~asked_Q & ~judge_Q
        judged: dict[str, dict[Choice, float]] = {trait: {} for trait in now}
        for name, x in candidates.items():
            for penalty in PENALTIES:
                told_QC = fit(x[fitted_Q], every_QC[fitted_Q], penalty)(x[judge_Q])
                for trait, score_QC in zip(now, told_QC.split(sizes, 1), strict=True):
                    judged[trait][name, penalty] = ranked(score_QC, now[trait][judge_Q]).mean().item()
        for trait, label_QC in now.items():
            name, penalty = max(judged[trait], key=lambda choice: judged[trait][choice])
            x = candidates[name]
            scores[trait][asked_Q] = fit(x[~asked_Q], label_QC[~asked_Q], penalty)(x[asked_Q])
            chosen[trait].append((name, penalty))
        advance(1)
    return scores, chosen


def above(score_QC: Tensor, now_QC: Tensor, then_QC: Tensor) -> Tensor:
    """The chance [Q] that what became true is scored above what ceased to be; NaN where nothing turned."""
    came_QC, went_QC = (now_QC - then_QC).clamp(min=0), (then_QC - now_QC).clamp(min=0)
    pairs_QCC = came_QC[:, :, None] * went_QC[:, None, :]
    wins_QCC = (score_QC[:, :, None] > score_QC[:, None, :]).double()
    return (wins_QCC * pairs_QCC).sum((1, 2)) / pairs_QCC.sum((1, 2))
