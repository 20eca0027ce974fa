"""Confidence intervals and paired tests, with a user as the unit that is resampled.

    interval    percentile bootstrap of f(Σ rows of the drawn users)
    difference  the same draw for both systems, percentiles of f(Σ a) − f(Σ b)      (Koehn, 2004)
    p           approximate randomisation: each user's a and b change places with probability ½,
                p = (1 + #{|δ*| ≥ |δ|}) / (1 + resamples)                           (Noreen, 1989)

    rows -> `rows` [N, S], sufficient statistics of each example: what a metric needs summed, say (value, 1)
    f    -> `function` [..., S] -> [...], the metric from summed rows, such as mean_of_sums

Several reviews of one user are not independent, so users are drawn, each with all of their examples; without
`users` every example stands for itself. Draws depend on the seed and the number of users alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dep.utils.errors import DepError

Array = NDArray[np.float64]
Function = Callable[[Array], Array]
_BLOCK = 256


class Interval(NamedTuple):
    """A value with its confidence interval; `n` counts examples."""

    value: float
    low: float
    high: float
    n: int


class Comparison(NamedTuple):
    """a − b with its confidence interval and a two-sided p-value; `n` counts pairs."""

    delta: float
    low: float
    high: float
    p: float
    n: int


def mean_interval(
    values: ArrayLike,
    users: Sequence[Hashable] | None = None,
    n_boot: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Bootstrap interval of a mean.

    Args:
        values: [N] one number an example.
        users: [N] whose example each is; None makes each example its own user.
        n_boot: resamples.
        seed: of the resamples.
        level: share of resamples inside the interval.

    Raises:
        ValueError: no values, one that is not finite, or lists of different lengths.
    """
    return statistic_interval(with_ones(values), mean_of_sums, users, n_boot, seed, level)


def statistic_interval(
    rows: ArrayLike,
    function: Function,
    users: Sequence[Hashable] | None = None,
    n_boot: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Bootstrap interval of `function` of summed `rows` [N, S]; the rest as in mean_interval."""
    per_user, n = _sum_by_user(rows, users)
    resampled = function(_resampled_sums(per_user, n_boot, seed))
    return Interval(float(function(per_user.sum(0))), *_percentiles(resampled, level), n)


def paired(
    a: ArrayLike,
    b: ArrayLike,
    users: Sequence[Hashable] | None = None,
    n_boot: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Comparison:
    """Is the mean of `a` another than that of `b` on the same examples? Arguments as in mean_interval."""
    return paired_statistic(with_ones(a), with_ones(b), mean_of_sums, users, n_boot, seed, level)


def paired_statistic(
    rows_a: ArrayLike,
    rows_b: ArrayLike,
    function: Function,
    users: Sequence[Hashable] | None = None,
    n_boot: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Comparison:
    """The same for `function` of summed rows [N, S], such as corpus BLEU of n-gram counts.

    Raises:
        ValueError: rows of different shapes, or as in mean_interval.
    """
    (per_user_a, n), (per_user_b, _) = _sum_by_user(rows_a, users), _sum_by_user(rows_b, users)
    if np.shape(rows_a) != np.shape(rows_b):
        raise DepError(f"paired examples: a has shape {np.shape(rows_a)}, b {np.shape(rows_b)}; give the same examples")
    sum_a, sum_b = per_user_a.sum(0), per_user_b.sum(0)
    delta = float(function(sum_a) - function(sum_b))

    drawn_a, drawn_b = _resampled_sums(per_user_a, n_boot, seed), _resampled_sums(per_user_b, n_boot, seed)
    low, high = _percentiles(function(drawn_a) - function(drawn_b), level)

    moved = _weighted_sums(_swaps(len(per_user_a), n_boot, seed), per_user_b - per_user_a)  # [R, S]
    shuffled = function(sum_a + moved) - function(sum_b - moved)
    # A swap of everything gives -δ up to rounding: count it as an equal.
    extreme = int(np.count_nonzero(np.abs(shuffled) >= abs(delta) - 1e-12 * max(1.0, abs(delta))))
    return Comparison(delta, low, high, (1 + extreme) / (1 + n_boot), n)


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values of one family of tests, in the order given.

    Raises:
        ValueError: a p outside [0, 1].
    """
    if any(not 0 <= p <= 1 for p in ps):
        raise DepError(f"p-values must lie in [0, 1], got {list(ps)}")
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = highest
    return adjusted


def with_ones(values: ArrayLike) -> Array:
    """Rows `(value, 1)` [N, 2] of values [N]: what a mean needs summed."""
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1:
        raise DepError(f"expected one number an example, got shape {column.shape}")
    return np.column_stack([column, np.ones(len(column))])


def mean_of_sums(sums: Array) -> Array:
    """The mean from summed rows of `(value, 1)`: [..., 2] -> [...]."""
    return np.asarray(sums[..., 0] / sums[..., 1])


def draws(n_users: int, n_boot: int, seed: int) -> NDArray[np.int64]:
    """Which users each resample holds, with replacement: [n_boot, n_users]."""
    return np.random.default_rng([seed, 0]).integers(0, n_users, size=(n_boot, n_users))


@lru_cache(maxsize=4)
def _counts(n_users: int, n_boot: int, seed: int) -> NDArray[np.uint16]:
    """How often each user is in each resample [n_boot, n_users]; kept, as every metric asks for the same."""
    return np.stack([np.bincount(row, minlength=n_users) for row in draws(n_users, n_boot, seed)]).astype(np.uint16)


@lru_cache(maxsize=4)
def _swaps(n_users: int, n_boot: int, seed: int) -> NDArray[np.uint8]:
    """1 where a user's a and b change places [n_boot, n_users]."""
    return np.random.default_rng([seed, 1]).integers(0, 2, size=(n_boot, n_users), dtype=np.uint8)


def _weighted_sums(weights: NDArray[np.uint16] | NDArray[np.uint8], per_user: Array) -> Array:
    """`weights @ per_user` [R, S], in blocks, since the weights are large and of small integers."""
    blocks = range(0, len(weights), _BLOCK)
    return np.concatenate([weights[start : start + _BLOCK].astype(np.float64) @ per_user for start in blocks])


def _resampled_sums(per_user: Array, n_boot: int, seed: int) -> Array:
    return _weighted_sums(_counts(len(per_user), n_boot, seed), per_user)


def _sum_by_user(rows: ArrayLike, users: Sequence[Hashable] | None) -> tuple[Array, int]:
    """Rows summed by user [C, S], users in order of first appearance; and the number of examples."""
    table = np.asarray(rows, dtype=np.float64)
    if table.ndim != 2 or len(table) == 0:
        raise DepError(f"expected rows of at least one example, [N, S]; got shape {table.shape}")
    if not np.isfinite(table).all():
        raise DepError(f"example {int(np.argwhere(~np.isfinite(table))[0][0])} has a value that is not finite")
    if users is None:
        return table, len(table)
    if len(users) != len(table):
        raise DepError(f"{len(users)} users for {len(table)} examples; give one user each")
    numbers: dict[Hashable, int] = {}
    owners = [numbers.setdefault(user, len(numbers)) for user in users]
    per_user = np.zeros((len(numbers), table.shape[1]))
    np.add.at(per_user, owners, table)
    return per_user, len(table)


def _percentiles(resampled: Array, level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise DepError(f"level must lie between 0 and 1, got {level}")
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
