from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
import torch

from dep.evaluation.uniqueness import curve, distances, halves, ranks


def test_distances_agree_with_the_definition_in_plain_loops() -> None:
    rng = random.Random(1)
    his = [[rng.gauss(0, 1) for _ in range(3)] for _ in range(9)]
    profiles = {"a": [0, 1, 2], "b": [3], "c": [4, 5, 6, 7, 8]}
    means = {u: [sum(his[r][e] for r in rows) / len(rows) for e in range(3)] for u, rows in profiles.items()}
    middle = [sum(m[e] for m in means.values()) / 3 for e in range(3)]
    result = distances(torch.tensor(his), profiles)
    for user, mean in means.items():
        assert result[user] == pytest.approx(math.dist(mean, middle), abs=1e-6)


def test_the_error_names_a_user_without_past_reviews() -> None:
    with pytest.raises(ValueError, match="lonely"):
        distances(torch.zeros(1, 2), {"lonely": []})


def test_ranks_run_from_the_nearest_to_the_farthest() -> None:
    assert ranks({"far": 3.0, "near": 1.0, "middle": 2.0}) == {"near": 0.0, "middle": 0.5, "far": 1.0}


def test_each_half_has_the_users_of_its_ranks() -> None:
    rank = {f"u{n}": n / 9 for n in range(10)}
    low, high = halves({f"u{n}": float(n) for n in range(10)}, rank, n_boot=50)
    assert (low.name, low.gain.value, low.gain.n) == ("non-unique", 2.0, 5)
    assert (high.name, high.gain.value, high.gain.n) == ("unique", 7.0, 5)


def test_the_curve_follows_the_gains_and_lies_inside_its_band() -> None:
    rank = {f"u{n}": n / 99 for n in range(100)}
    line = curve({user: at for user, at in rank.items()}, rank, points=5)
    assert [point[0] for point in line] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert all(a[1] < b[1] for a, b in pairwise(line))
    assert all(low <= mean <= high for _, mean, low, high in line)
