"""Exact sums of vectors: they depend on the vectors alone, not on the order in which these came and went.

    q(x) = round(x * 2^34)          sum = q(x_1) + ... + q(x_n), as int64          mean = sum / (n * 2^34)

Additions of integers are exact. A sum from which a vector was subtracted therefore has the bytes of a sum that never
held it. A float32 sum with a compensation term takes the same space, 8 bytes a number, but its last bits depend on all
that was ever added. Rounding changes a component of a mean by at most 2^-35 = 3e-11.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dep.utils.errors import DepError

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

_SCALE = 2.0**34
_SHIFT = 1.5 * 2.0**52
_SHIFT_BITS = np.float64(_SHIFT).view(np.int64)
_ROWS = 128
"""Vectors that are converted and summed at a time, so that they stay in a processor's cache."""
LARGEST = 64.0
"""The largest component of a vector. An int64 holds the sum of 8 million such components."""


def check_vectors(vectors_NE: Floats) -> None:
    """Check that vectors can be summed.

    Raises:
        DepError: a component is not finite, or larger than `LARGEST`.
    """
    largest = float(np.abs(vectors_NE).max(initial=0.0))
    if not largest <= LARGEST:  # not `>`, which is false for NaN
        raise DepError("vectors", f"numbers between -{LARGEST:g} and {LARGEST:g}", f"{largest:g}", "normalise them")


def to_integers(vectors: Floats) -> Integers:
    """Return q(x) of each component; any shape.

    The product with a power of two is exact. Near `_SHIFT` a float64 has no digits after the point, so the addition
    rounds to the nearest integer, halves to the even one as `np.rint` does. The last bits are then that integer.
    """
    shifted = np.multiply(vectors, _SCALE, dtype=np.float64)
    shifted += _SHIFT
    integers: Integers = shifted.view(np.int64)
    integers -= _SHIFT_BITS
    return integers


def mean(total_E: Integers, count: int) -> NDArray[np.float64]:
    """Return the mean [E] of `count` vectors with the sum `total_E` [E]."""
    return total_E / (_SCALE * count)


def grouped(vectors_NE: Floats, group_N: Sequence[int]) -> tuple[list[int], Integers]:
    """Sum q(x) of vectors by group.

    Args:
        vectors_NE: [N, E], the vectors; N is 1 or more. A vector that is subtracted is given as its negative.
        group_N: the group of each.

    Returns:
        The groups in ascending order, and their sums [groups, E].
    """
    order = np.argsort(np.asarray(group_N, dtype=np.int64), kind="stable")
    found, place_N = np.unique(np.asarray(group_N, dtype=np.int64)[order], return_inverse=True)
    sum_GE = np.zeros((len(found), vectors_NE.shape[1]), np.int64)
    for start in range(0, len(order), _ROWS):
        own = place_N[start : start + _ROWS]
        first = np.flatnonzero(np.diff(own, prepend=-1))
        sum_GE[own[first]] += np.add.reduceat(to_integers(vectors_NE[order[start : start + _ROWS]]), first, axis=0)
    return found.tolist(), sum_GE
