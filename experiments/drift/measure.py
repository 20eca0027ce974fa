"""Computes the AUC of each kind of history vector on each trait, with intervals over users.

Shape suffixes: Q histories, C values of a trait.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dep.data.synthetic.trait_probe import FOLDS, ranked
from dep.evaluation.significance import mean_interval, paired
from dep.utils.progress import stage
from experiments.drift.history_vectors import FLAT, states, weighted
from experiments.drift.probe import above, fit_and_score
from experiments.drift.world import World

HALF_LIVES = (1.0, 2.0, 4.0, 8.0, FLAT)
BASE = "flat mean"
"""The kind of vector that all others are compared with."""
ENCODER, UNTRAINED = "encoder state", "encoder, untrained"


def candidates(world: World) -> dict[str, dict[str, Tensor]]:
    """Return, for each kind of vector, its candidates by name, [Q, width] each."""
    examples = world.labelled.examples
    means = {f"{half_life:g}": weighted(world.vectors, examples, half_life) for half_life in HALF_LIVES}
    flat = means[f"{FLAT:g}"]
    return {
        BASE: {"": flat},
        "recency-weighted": means,
        "flat mean of his": {"": flat[:, : flat.shape[1] // 2]},
        UNTRAINED: {"": states(world.untrained, world.reader, examples)},
        ENCODER: {"": states(world.encoder, world.reader, examples)},
    }


def measure(world: World) -> list[dict[str, Any]]:
    """Return a row for each trait and kind of vector.

    A row has the AUC, its gain over the flat mean, and how often a current value is scored above a former one. The
    encoder's rows also have the gain over the untrained encoder.
    """
    labelled, kinds = world.labelled, candidates(world)
    number = {name: at for at, name in enumerate(sorted(set(labelled.users)))}
    user_Q = torch.tensor([number[name] for name in labelled.users])
    auc: dict[tuple[str, str], Tensor] = {}
    rows = []
    with stage("probing the vectors", len(kinds) * FOLDS) as advance:
        for kind, options in kinds.items():
            scores, chosen = fit_and_score(options, labelled.current, user_Q, advance)
            for trait, score_QC in scores.items():
                auc[trait, kind] = ranked(score_QC, labelled.current[trait])
                row: dict[str, Any] = {"trait": trait, "vectors": kind, "chosen": chosen[trait]}
                row["auc"] = mean_interval(auc[trait, kind].numpy(), labelled.users)._asdict()
                for other in (BASE, UNTRAINED) if kind == ENCODER else (BASE,):
                    gain = paired(auc[trait, kind].numpy(), auc[trait, other].numpy(), labelled.users)
                    row[f"less {other}"] = gain._asdict()
                above_Q = above(score_QC, labelled.current[trait], labelled.former[trait])
                changed = (~above_Q.isnan()).nonzero()[:, 0].tolist()
                if changed:
                    interval = mean_interval(above_Q[changed].numpy(), [labelled.users[q] for q in changed])
                    row["current above former"] = interval._asdict()
                row["auc by reviews of the second half"] = _by_count(auc[trait, kind], labelled.since)
                rows.append(row)
    return rows


def _by_count(auc_Q: Tensor, since: list[int]) -> dict[int, float]:
    since_Q = torch.tensor(since)
    return {count: auc_Q[since_Q == count].mean().item() for count in sorted(set(since))}
