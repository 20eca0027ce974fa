from __future__ import annotations

import math
from dataclasses import asdict

import pytest
import torch

from dep.evaluation.author_probe import author_ranks, probe, user_rows
from dep.types import Corpus, Example, Item, Review, Vectors


def _corpus(users: list[str]) -> Corpus:
    reviews = [Review(user, "i", f"text {n}", 5.0, "t", n) for n, user in enumerate(users)]
    return Corpus("Books", reviews, {"i": Item("i", "")})


def _oracle(x: list[list[float]], users: list[str]) -> tuple[float, float]:
    """Compute accuracy and MRR in plain loops over reviews and users."""

    def cosine(a: list[float], b: list[float]) -> float:
        dot = math.fsum(p * q for p, q in zip(a, b, strict=True))
        return dot / (math.hypot(*a) * math.hypot(*b))

    ranks = []
    for probed in range(len(x)):
        score = {}
        for user in set(users):
            rows = [row for row in range(len(x)) if users[row] == user and row != probed]
            score[user] = cosine(x[probed], [math.fsum(x[r][e] for r in rows) / len(rows) for e in range(len(x[0]))])
        ranks.append(1 + sum(value > score[users[probed]] for value in score.values()))
    return sum(rank == 1 for rank in ranks) / len(ranks), sum(1 / rank for rank in ranks) / len(ranks)


def _unit(x: list[float]) -> list[float]:
    return [value / math.hypot(*x) for value in x]


def test_the_probe_agrees_with_an_implementation_in_plain_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    users = [f"u{n % 5}" for n in range(30)]
    traits = torch.randn(5, 4, generator=generator)
    his, diff = (torch.randn(30, 4, generator=generator) + 0.7 * traits.repeat(6, 1) for _ in range(2))
    rows = probe(_corpus(users), Vectors(his, diff, torch.ones(30, dtype=torch.int64)), range(30))
    both = [_unit(a) + _unit(b) for a, b in zip(his.double().tolist(), diff.double().tolist(), strict=True)]
    for row, x in zip(rows, (his.double().tolist(), diff.double().tolist(), both), strict=True):
        accuracy, mrr = _oracle(x, users)
        assert (row.accuracy, row.mrr) == pytest.approx((accuracy, mrr))
        assert 0 < row.low < row.accuracy < row.high < 1, "the task is neither trivial nor impossible"
    assert [(row.vectors, row.n, row.chance) for row in rows] == [(name, 30, 0.2) for name in ("his", "diff", "both")]


def test_reviews_without_peers_and_users_left_with_one_review_are_not_probed() -> None:
    users = ["a", "a", "b", "b", "c", "c"]
    x = torch.eye(3).repeat_interleave(2, dim=0)
    rows = probe(_corpus(users), Vectors(x, x, torch.tensor([1, 1, 1, 1, 1, 0])), range(6))
    assert [asdict(row) for row in rows] == [
        {"vectors": name, "accuracy": 1.0, "mrr": 1.0, "n": 4, "chance": 0.5, "low": 1.0, "high": 1.0}
        for name in ("his", "diff", "both")
    ]
    with pytest.raises(ValueError, match="expected two users"):
        probe(_corpus(users), Vectors(x, x, torch.tensor([1, 1, 1, 0, 1, 0])), range(6))


def test_the_gain_of_both_vectors_over_his_alone_is_tested_on_the_same_reviews() -> None:
    users = [f"u{n % 5}" for n in range(40)]
    noise = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    told = torch.eye(6)[torch.arange(40) % 5]
    ranks = author_ranks(_corpus(users), Vectors(noise, told, torch.ones(40, dtype=torch.int64)), range(40))
    gain = ranks.gain()
    assert gain.low > 0.3, "only the differences tell the author"
    his, _, both = probe(_corpus(users), Vectors(noise, told, torch.ones(40, dtype=torch.int64)), range(40))
    assert gain.delta == pytest.approx(both.accuracy - his.accuracy)


def test_user_rows_are_the_targets_and_profiles_of_test_examples() -> None:
    examples = [Example("A", "test", 3, (0, 2)), Example("A", "val", 9, (8,)), Example("B", "test", 7, (5,))]
    assert user_rows(examples, "A") == [0, 2, 3]
