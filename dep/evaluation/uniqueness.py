"""Measures users' uniqueness (Section 4.4.2), and what a method gains for unique and for other users.

    u = | m - mean of m over all users |,   m the mean embedding of the user's past reviews

Users are ranked by u within their category. The upper half is called *unique*, and the lower half *non-unique*. As two
halves ignore most of the order, `curve` also gives the gain as a function of the rank.

Shape suffixes: N reviews, U users, E components of a vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dep.evaluation.significance import Interval, mean_interval
from dep.utils.errors import DepError

Curve = list[tuple[float, float, float, float]]
"""Points (rank, mean, low, high), by increasing rank."""


class Group(NamedTuple):
    """The mean gain of one half of the users, with its interval."""

    name: str
    gain: Interval


def distances(his_NE: Tensor, profiles: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Compute each user's distance u from the mean user.

    Args:
        his_NE: [N, E], the vectors of a category's reviews.
        profiles: for each user the rows of the past reviews, at least one.

    Raises:
        DepError: there are no users, or a user has no past review.
    """
    empty = [user for user, rows in profiles.items() if not len(rows)]
    if empty or not profiles:
        raise DepError(f"expected users with past reviews, found {empty[0] + ' without' if empty else 'no users'}")
    mean_UE = torch.stack([his_NE[torch.tensor(list(rows))].double().mean(0) for rows in profiles.values()])
    distance_U = (mean_UE - mean_UE.mean(0)).norm(dim=1)
    return dict(zip(profiles, distance_U.tolist(), strict=True))


def ranks(distance: Mapping[str, float]) -> dict[str, float]:
    """Return each user's rank from 0 (nearest to the mean user) to 1; ties keep the order of `distance`."""
    order = sorted(distance, key=lambda user: distance[user])
    return {user: at / max(1, len(order) - 1) for at, user in enumerate(order)}


def halves(gains: Mapping[str, float], rank: Mapping[str, float], n_boot: int = 2000, seed: int = 0) -> list[Group]:
    """Compute the mean gain of the non-unique half and of the unique half of users.

    Args:
        gains: the gain of each user.
        rank: the rank of each user, from `ranks`.
        n_boot: number of resamples.
        seed: seed of the resamples.
    """
    sides: dict[str, list[float]] = {"non-unique": [], "unique": []}
    for user, gain in gains.items():
        sides["unique" if rank[user] >= 0.5 else "non-unique"].append(gain)
    return [Group(name, mean_interval(values, None, n_boot, seed)) for name, values in sides.items() if values]


def contrast(gains: Mapping[str, float], rank: Mapping[str, float], n_boot: int = 2000, seed: int = 0) -> Interval:
    """Compute the mean gain of the unique half minus that of the other half, with a 95% bootstrap interval over users.

    Args:
        gains: the gain of each user.
        rank: the rank of each user, from `ranks`; both halves need a user.
        n_boot: number of resamples, each of which draws from both halves.
        seed: seed of the resamples.
    """
    rng = np.random.default_rng(seed)
    sides = [np.array([gain for user, gain in gains.items() if (rank[user] >= 0.5) == unique]) for unique in (1, 0)]
    drawn = [side[rng.integers(0, len(side), (n_boot, len(side)))].mean(1) for side in sides]
    low, high = np.quantile(drawn[0] - drawn[1], [0.025, 0.975])
    return Interval(float(sides[0].mean() - sides[1].mean()), float(low), float(high), len(gains))


def curve(gains: Mapping[str, float], rank: Mapping[str, float], points: int = 41, width: float = 0.15) -> Curve:
    """Compute the gain as a function of the rank, by Gaussian-weighted averages: a list of (rank, mean, low, high).

    `low` and `high` are 1.96 standard errors below and above the mean.

    Args:
        gains: gain of each user.
        rank: rank of each user, from `ranks`.
        points: number of points between 0 and 1.
        width: standard deviation of the Gaussian weights, in ranks.
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
