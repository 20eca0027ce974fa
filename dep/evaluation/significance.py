"""Computes confidence intervals and paired tests by resampling users.

    interval    percentiles of f(Σ rows of the drawn users) over bootstrap resamples
    difference  percentiles of f(Σ a) − f(Σ b), where both systems have the same drawn users   (Koehn, 2004)
    p           approximate randomisation: each user's a and b are swapped with probability ½, and
                p = (1 + #{|δ*| ≥ |δ|}) / (1 + resamples)                                      (Noreen, 1989)

    rows -> `rows` [N, S], the sufficient statistics of each example: numbers whose sums give the metric
    f    -> `function` [..., S] -> [...], which computes the metric from summed rows, such as mean_of_sums

The reviews of one user are not independent, so a resample draws users, each with all examples of that user. Without
`users`, every example counts as another user. The draws depend only on the seed and the number of users.

Shape suffixes: N examples, S statistics, R resamples.
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
    """A value with its confidence interval; `n` is the number of examples."""

    value: float
    low: float
    high: float
    n: int


class Comparison(NamedTuple):
    """The difference a − b with its confidence interval and a two-sided p-value; `n` is the number of pairs."""

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
    """Compute a mean and its bootstrap interval.

    Args:
        values: [N], a number for each example.
        users: [N], the user of each example; with None every example counts as another user.
        n_boot: number of resamples.
        seed: seed of the resamples.
        level: the share of resamples inside the interval, between 0 and 1.

    Raises:
        DepError: there are no values, a value is not finite, or the lists differ in length.
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
    """Compute `function` of the summed `rows` [N, S] and its interval; for other arguments see `mean_interval`."""
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
    """Compare the means of `a` and `b` [N] on the same examples; for other arguments see `mean_interval`."""
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
    """Compare `function` of the summed rows [N, S] of two systems, such as their corpus BLEU.

    Raises:
        DepError: the systems' rows differ in shape, or for the reasons of `mean_interval`.
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
    # Swapping all users gives -δ up to rounding; the tolerance counts it as equal.
    extreme = int(np.count_nonzero(np.abs(shuffled) >= abs(delta) - 1e-12 * max(1.0, abs(delta))))
    return Comparison(delta, low, high, (1 + extreme) / (1 + n_boot), n)


def holm(ps: Sequence[float]) -> list[float]:
    """Adjust the p-values of one family of tests by Holm's (1979) method, and return them in the given order.

    Raises:
        DepError: a p-value is outside [0, 1].
    """
    if any(not 0 <= p <= 1 for p in ps):
        raise DepError(f"p-values must lie in [0, 1], got {list(ps)}")
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = highest
    return adjusted


def with_ones(values: ArrayLike) -> Array:
    """Turn values [N] into the sufficient statistics of their mean, which are rows `(value, 1)` [N, 2]."""
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1:
        raise DepError(f"expected one number for each example, got shape {column.shape}")
    return np.column_stack([column, np.ones(len(column))])


def mean_of_sums(sums: Array) -> Array:
    """Compute the mean from sums [..., 2] of rows `(value, 1)`; its shape is [...]."""
    return np.asarray(sums[..., 0] / sums[..., 1])


def draws(n_users: int, n_boot: int, seed: int) -> NDArray[np.int64]:
    """Draw the users of each resample with replacement; return their numbers [n_boot, n_users]."""
    return np.random.default_rng([seed, 0]).integers(0, n_users, size=(n_boot, n_users))


@lru_cache(maxsize=4)
def _counts(n_users: int, n_boot: int, seed: int) -> NDArray[np.uint16]:
    """Count how often each user is in each resample [n_boot, n_users]; the result is cached, as all metrics need it."""
    return np.stack([np.bincount(row, minlength=n_users) for row in draws(n_users, n_boot, seed)]).astype(np.uint16)


@lru_cache(maxsize=4)
def _swaps(n_users: int, n_boot: int, seed: int) -> NDArray[np.uint8]:
    """Draw [n_boot, n_users]: 1 if a user's a and b are swapped in a resample, otherwise 0."""
    return np.random.default_rng([seed, 1]).integers(0, 2, size=(n_boot, n_users), dtype=np.uint8)


def _weighted_sums(weights: NDArray[np.uint16] | NDArray[np.uint8], per_user: Array) -> Array:
    """Compute `weights @ per_user` [R, S] in blocks, since all weights at once would be large as float64."""
    blocks = range(0, len(weights), _BLOCK)
    return np.concatenate([weights[start : start + _BLOCK].astype(np.float64) @ per_user for start in blocks])


def _resampled_sums(per_user: Array, n_boot: int, seed: int) -> Array:
    return _weighted_sums(_counts(len(per_user), n_boot, seed), per_user)


def _sum_by_user(rows: ArrayLike, users: Sequence[Hashable] | None) -> tuple[Array, int]:
    """Sum the rows of each user [users, S], in order of first appearance; also return the number of examples."""
    table = np.asarray(rows, dtype=np.float64)
    if table.ndim != 2 or len(table) == 0:
        raise DepError(f"expected rows of at least one example, [N, S], got shape {table.shape}")
    if not np.isfinite(table).all():
        raise DepError(f"example {int(np.argwhere(~np.isfinite(table))[0][0])} has a value that is not finite")
    if users is None:
        return table, len(table)
    if len(users) != len(table):
        raise DepError(f"{len(users)} users for {len(table)} examples; give one user for each example")
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
