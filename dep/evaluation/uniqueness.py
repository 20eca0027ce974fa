"""How far a user's writing is from the mean user's (Section 4.4.2), and what a method gains for such users.

    u = | mean of the user's past review embeddings - mean of that over all users |

Users are ranked within their category; the upper half is *unique*, the lower half is not. Halves ignore most of
the order, so the gain is given as a curve over the rank too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dep.evaluation.significance import Interval, mean_interval
from dep.utils.errors import DepError


class Group(NamedTuple):
    """Users of one half: mean gain with its interval."""

    name: str
    gain: Interval


def distances(his_NE: Tensor, profiles: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Each user's distance to the mean user.

    Args:
        his_NE: [N, E] vectors of a category's reviews.
        profiles: rows of each user's past reviews, at least one.

    Raises:
        ValueError: there is no user, or one without a past review.
    """
    empty = [user for user, rows in profiles.items() if not len(rows)]
    if empty or not profiles:
        raise DepError(f"expected users with past reviews, found {empty[0] + ' without' if empty else 'no users'}")
    mean_UE = torch.stack([his_NE[torch.tensor(list(rows))].double().mean(0) for rows in profiles.values()])
    far_U = (mean_UE - mean_UE.mean(0)).norm(dim=1)
    return dict(zip(profiles, far_U.tolist(), strict=True))


def ranks(far: Mapping[str, float]) -> dict[str, float]:
    """Each user's place between 0 (nearest to the mean user) and 1; of equals the one named first is nearer."""
    order = sorted(far, key=lambda user: far[user])
    return {user: at / max(1, len(order) - 1) for at, user in enumerate(order)}


def halves(gains: Mapping[str, float], rank: Mapping[str, float], n_boot: int = 2000, seed: int = 0) -> list[Group]:
    """Mean gain of the non-unique and the unique half of users.

    Args:
        gains: what each user gains, by user; users without a rank are an error.
        rank: from `ranks`.
        n_boot: resamples.
        seed: of the resamples.
    """
    sides: dict[str, list[float]] = {"non-unique": [], "unique": []}
    for user, gain in gains.items():
        sides["unique" if rank[user] >= 0.5 else "non-unique"].append(gain)
    return [Group(name, mean_interval(values, None, n_boot, seed)) for name, values in sides.items() if values]


def curve(
    gains: Mapping[str, float], rank: Mapping[str, float], points: int = 41, width: float = 0.15
) -> list[tuple[float, float, float, float]]:
    """The gain over the rank: (rank, mean, low, high) of a Gaussian average, low and high by 1.96 standard errors.

    Args:
        gains: what each user gains.
        rank: from `ranks`.
        points: how many points between 0 and 1.
        width: standard deviation of the average, in ranks.
    """
    users = list(gains)
    at_U, gain_U = np.array([rank[user] for user in users]), np.array([gains[user] for user in users])
    result = []
    for x in np.linspace(0, 1, points):
        weight_U = np.exp(-0.5 * ((at_U - x) / width) ** 2)
        share_U = weight_U / weight_U.sum()
        mean = float(share_U @ gain_U)
        error = float(np.sqrt(share_U**2 @ (gain_U - mean) ** 2))
        result.append((float(x), mean, mean - 1.96 * error, mean + 1.96 * error))
    return result
