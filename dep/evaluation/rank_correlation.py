"""Spearman's rank correlation of two scores of the same texts, with a bootstrap interval over users.

    rho = Pearson's correlation of ranks, where equal values share the mean of their ranks

A resample draws users with all their texts, and ranks the drawn texts anew.

Shape suffixes: N texts.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from dep.evaluation.significance import Array, Interval, draws
from dep.utils.errors import DepError


def rank_correlation(
    a: ArrayLike, b: ArrayLike, users: Sequence[Hashable], n_boot: int = 1000, seed: int = 0, level: float = 0.95
) -> Interval | None:
    """Compute the rank correlation of two scores, with its interval.

    Args:
        a: [N], one score of each text.
        b: [N], another score of each text.
        users: [N], the user for whom each text was written.
        n_boot: number of resamples.
        seed: seed of the resamples.
        level: the share of resamples inside the interval.

    Returns:
        The correlation, its interval and N; None if a score is the same for all texts, so that nothing can be ranked.
        Resamples in which nothing can be ranked are left out.

    Raises:
        DepError: the three arguments differ in length.
    """
    a_N, b_N = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if not len(a_N) == len(b_N) == len(users):
        raise DepError("rank correlation", "as many scores as users", f"{len(a_N)}, {len(b_N)} and {len(users)}")
    rho = _spearman(a_N, b_N)
    if rho is None:
        return None
    rows_of: dict[Hashable, list[int]] = {}
    for at, user in enumerate(users):
        rows_of.setdefault(user, []).append(at)
    groups = [np.asarray(rows) for rows in rows_of.values()]
    resampled = []
    for drawn in draws(len(groups), n_boot, seed):
        rows = np.concatenate([groups[at] for at in drawn])
        if (found := _spearman(a_N[rows], b_N[rows])) is not None:
            resampled.append(found)
    low, high = (
        np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2]) if resampled and len(groups) > 1 else (-1.0, 1.0)
    )
    return Interval(rho, float(low), float(high), len(a_N))


def _spearman(a_N: Array, b_N: Array) -> float | None:
    """Return the rank correlation; None if one of the two is constant."""
    x_N, y_N = (_ranks(v_N) - (len(v_N) - 1) / 2 for v_N in (a_N, b_N))
    norm = float(np.sqrt((x_N @ x_N) * (y_N @ y_N)))
    return float(x_N @ y_N) / norm if norm > 0 else None


def _ranks(v_N: Array) -> Array:
    """Return the rank of each value from 0; equal values share their mean rank."""
    _, place_N, count_V = np.unique(v_N, return_inverse=True, return_counts=True)
    last_V = np.cumsum(count_V)
    return np.asarray((last_V - (count_V + 1) / 2)[place_N])
