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
    """Return q(x) of each component; any shape."""
    return np.rint(vectors.astype(np.float64) * _SCALE).astype(np.int64)


def mean(total_E: Integers, count: int) -> NDArray[np.float64]:
    """Return the mean [E] of `count` vectors with the sum `total_E` [E]."""
    return total_E / (_SCALE * count)


def grouped(values_NE: Integers, group_N: Sequence[int]) -> tuple[list[int], Integers]:
    """Sum rows by group.

    Args:
        values_NE: [N, E], the rows; N is 1 or more.
        group_N: the group of each row.

    Returns:
        The groups in ascending order, and their sums [groups, E].
    """
    groups = np.asarray(group_N, dtype=np.int64)
    order = np.argsort(groups, kind="stable")
    found, starts = np.unique(groups[order], return_index=True)
    return found.tolist(), np.add.reduceat(values_NE[order], starts, axis=0)
