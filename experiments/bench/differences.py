"""Eq. 4 for many reviews, against a loop over each review's peers."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor

from dep.data.difference import differences
from experiments.bench.measure import Case

PART = 2000
"""Reviews that the loop is given."""


def looped(his_NE: Tensor, users: list[str], items: list[str], count: int) -> Tensor:
    """The differences of the first `count` reviews, peer by peer; every user reviews an item once."""
    of_item: dict[str, list[int]] = defaultdict(list)
    for row, item in enumerate(items):
        of_item[item].append(row)
    found = []
    for row in range(count):
        total, peers = torch.zeros(his_NE.shape[1]), 0
        for other in of_item[items[row]]:
            if users[other] != users[row]:
                total = total + (his_NE[row] - his_NE[other])
                peers += 1
        found.append(total / max(peers, 1))
    return torch.stack(found)


def case(reviews: int = 1_000_000, width: int = 384, peers: int = 20) -> Case:
    """`reviews` random vectors, each item reviewed by `peers` + 1 users, rows in random order."""
    draw = torch.Generator().manual_seed(0)
    his_NE = torch.nn.functional.normalize(torch.randn(reviews, width, generator=draw), dim=1)
    order = torch.randperm(reviews, generator=draw).tolist()
    items = [f"i{at // (peers + 1)}" for at in order]
    users = [f"u{at}" for at in order]
    count = min(PART, reviews)
    return Case(
        "differences", f"{reviews:,} reviews x {width}, {peers} peers", "a loop over the peers of each review",
        lambda: differences(his_NE, users, items)[0],
        lambda: looped(his_NE, users, items, count),
        lambda ours, theirs: torch.allclose(ours[:count], theirs, atol=1e-6),
        reviews, "reviews/s", 200, part=count / reviews,
    )  # fmt: skip
