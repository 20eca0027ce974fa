"""What each kind of vector of a past tells of each trait, with intervals over users."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dep.data.synthetic.trait_probe import FOLDS, ranked
from dep.evaluation.significance import mean_interval, paired
from dep.utils.progress import stage
from experiments.drift.pasts import FLAT, states, weighted
from experiments.drift.probe import above, ask
from experiments.drift.world import WorldOf

HALF_LIVES = (1.0, 2.0, 4.0, 8.0, FLAT)
BASE = "flat mean"
"""What every other kind of vector is compared with."""
ENCODER, UNTRAINED = "encoder state", "encoder, untrained"


def candidates(world: WorldOf) -> dict[str, dict[str, Tensor]]:
    """Kind of vector -> its candidates by name, [Q, width] each."""
    asked = world.asked.examples
    means = {f"{half_life:g}": weighted(world.vectors, asked, half_life) for half_life in HALF_LIVES}
    flat = means[f"{FLAT:g}"]
    return {
        BASE: {"": flat},
        "recency-weighted": means,
        "flat mean of his": {"": flat[:, : flat.shape[1] // 2]},
        UNTRAINED: {"": states(world.untrained, world.reader, asked)},
        ENCODER: {"": states(world.encoder, world.reader, asked)},
    }


def measure(world: WorldOf) -> list[dict[str, Any]]:
    """A row a trait and kind: AUC, its gain over the flat mean, and how often what is true now beats what was.

    The encoder's also has its gain over one that learned nothing.
    """
    asked, kinds = world.asked, candidates(world)
    code = {name: at for at, name in enumerate(sorted(set(asked.users)))}
    user_Q = torch.tensor([code[name] for name in asked.users])
    auc: dict[tuple[str, str], Tensor] = {}
    rows = []
    with stage("asking the vectors", len(kinds) * FOLDS) as advance:
        for kind, options in kinds.items():
            scores, chosen = ask(options, asked.now, user_Q, advance)
            for trait, score_QC in scores.items():
                auc[trait, kind] = ranked(score_QC, asked.now[trait])
                row: dict[str, Any] = {"trait": trait, "vectors": kind, "chosen": chosen[trait]}
                row["auc"] = mean_interval(auc[trait, kind].numpy(), asked.users)._asdict()
                for other in (BASE, UNTRAINED) if kind == ENCODER else (BASE,):
                    against = paired(auc[trait, kind].numpy(), auc[trait, other].numpy(), asked.users)
                    row[f"less {other}"] = against._asdict()
                turned_Q = above(score_QC, asked.now[trait], asked.then[trait])
                at = (~turned_Q.isnan()).nonzero()[:, 0].tolist()
                if at:
                    row["now above then"] = mean_interval(turned_Q[at].numpy(), [asked.users[q] for q in at])._asdict()
                row["auc by reviews since the turn"] = _by_age(auc[trait, kind], asked.since)
                rows.append(row)
    return rows


def _by_age(auc_Q: Tensor, since: list[int]) -> dict[int, float]:
    since_Q = torch.tensor(since)
    return {age: auc_Q[since_Q == age].mean().item() for age in sorted(set(since))}
