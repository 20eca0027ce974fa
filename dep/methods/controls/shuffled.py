"""Control: the trained DEP with another user's vectors at test time.

The prompt keeps the user's own reviews and the number of slots; each slot gets the vectors of the donor's review at the
same position. If the soft tokens identify the user, the likelihood of the user's real review falls.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.requests import Requests
from dep.methods.base import MappedRequests
from dep.methods.dep import DEP
from dep.types import Request, Slot
from dep.utils.errors import DepError
from dep.utils.registry import ComponentConfig


class Shuffled(DEP):
    """DEP's adapter with another user's vectors."""

    kind = "shuffled"
    label = "DEP, another user's vectors"
    role = "control"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Nothing to set."""

        kind: Literal["shuffled"] = "shuffled"

    def transform_test_requests(self, requests: Requests, seed: int) -> Sequence[Request]:
        """Each request with a donor's vectors."""
        donor_of = donors(requests, seed)

        def swapped(at: int, request: Request) -> Request:
            pool = requests[donor_of[at]].slots
            complete = [slot for slot in pool if slot.diff is not None] or list(pool)
            return replace(request, slots=tuple(_swap(slot, complete, k) for k, slot in enumerate(request.slots)))

        return MappedRequests(requests, swapped)


def donors(requests: Requests, seed: int) -> list[int]:
    """For each request, the index of another user's request of the same category.

    The requests of a category are put in a random circular order; the donor is the next request of another user. In a
    category with one user (in a small run) donors come from the other categories.

    Raises:
        DepError: all requests are of one user.
    """
    users = [request.user for request in requests]
    if len(set(users)) < 2:
        raise DepError(f"requests: expected two users or more to exchange vectors, found {len(set(users))}")
    of_category: dict[str, list[int]] = {}
    for at, example in enumerate(requests.examples):
        of_category.setdefault(example.category, []).append(at)
    donor_of = list(range(len(requests)))
    rng = random.Random(seed)
    for circle in of_category.values():
        alone = len({users[at] for at in circle}) < 2
        order = list(range(len(requests))) if alone else circle
        rng.shuffle(order)
        for place, at in enumerate(order):
            others = (order[(place + step) % len(order)] for step in range(1, len(order)))
            if at in circle:
                donor_of[at] = next(other for other in others if users[other] != users[at])
    return donor_of


def _swap(slot: Slot, pool: Sequence[Slot], k: int) -> Slot:
    if not pool:
        return slot
    donor = pool[k % len(pool)]
    diff = None if slot.diff is None else donor.diff if donor.diff is not None else slot.diff * 0
    return replace(slot, his=donor.his, diff=diff)
