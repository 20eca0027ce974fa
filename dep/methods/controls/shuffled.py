"""Control: DEP, trained as it is, with another user's vectors at test time.

The prompt keeps the user's own reviews and as many slots; each slot's vectors are those of the donor's review in the
same place. If the soft tokens carry who the user is, the likelihood of the user's real review must fall.
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
    """DEP's adapter, another user's vectors."""

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
            whole = [slot for slot in pool if slot.diff is not None] or list(pool)
            return replace(request, slots=tuple(_swap(slot, whole, k) for k, slot in enumerate(request.slots)))

        return MappedRequests(requests, swapped)


def donors(requests: Requests, seed: int) -> list[int]:
    """For each request the index of another user's request of the same category.

    The requests of a category stand in a random circle, and each takes from the next one that is another user's. In a
    category of one user (a small run) it takes from the other categories.

    Raises:
        ValueError: all requests are one user's, so that there is nobody to take vectors from.
    """
    users = [request.user for request in requests]
    if len(set(users)) < 2:
        raise DepError(f"requests: expected two users or more to exchange vectors, found {len(set(users))}")
    of_category: dict[str, list[int]] = {}
    for at, example in enumerate(requests.examples):
        of_category.setdefault(example.category, []).append(at)
    found = list(range(len(requests)))
    rng = random.Random(seed)
    for circle in of_category.values():
        alone = len({users[at] for at in circle}) < 2
        stand = list(range(len(requests))) if alone else circle
        rng.shuffle(stand)
        for place, at in enumerate(stand):
            others = (stand[(place + step) % len(stand)] for step in range(1, len(stand)))
            if at in circle:
                found[at] = next(other for other in others if users[other] != users[at])
    return found


def _swap(slot: Slot, pool: Sequence[Slot], k: int) -> Slot:
    if not pool:
        return slot
    donor = pool[k % len(pool)]
    diff = None if slot.diff is None else donor.diff if donor.diff is not None else slot.diff * 0
    return replace(slot, his=donor.his, diff=diff)
