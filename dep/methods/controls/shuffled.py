"""A control that gives a trained adapter another user's vectors at test time.

Each request gets a donor, a request of another user. The prompt keeps the user's own reviews and its number of slots,
but each slot gets the vectors of the donor's review at the same position. A method that reads whole histories gets the
donor's, with the request's own item, title and rating. If the soft tokens carry information about the user, the
likelihood of the user's real review must fall.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dep.data.prompts.requests import MappedRequests, Requests
from dep.data.prompts.settings import PromptConfig
from dep.methods.base import ActivationContext, Method
from dep.methods.dep import DEP
from dep.models.settings import SoftPromptConfig
from dep.types import Example, Request, Slot, UserHistory
from dep.utils.errors import DepError
from dep.utils.registry import ComponentConfig


class Shuffled(DEP):
    """A trained adapter, by default DEP's, with another user's vectors at test time."""

    kind = "shuffled"
    label = "DEP, another user's vectors"
    role = "control"
    draws_donors = True

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Which method is trained."""

        kind: Literal["shuffled"] = "shuffled"
        of: str = "dep"
        """The kind of the method whose trained adapter gets another user's vectors, such as `dep_user`."""

    config: Config

    def __init__(self, config: Config) -> None:
        """Build the other method.

        Raises:
            DepError: the other method has no vectors of a user that could be exchanged.
        """
        from dep.methods import METHODS  # which imports this module

        super().__init__(config)
        self._trained: Method = METHODS.build(METHODS.config_class(config.of)())
        self.trains, self.pretrains = self._trained.trains, self._trained.pretrains
        self.reads_activations = self._trained.reads_activations
        if not (self.trains or self.reads_activations):
            raise DepError(f"method.of={config.of}", "a method that trains an adapter or reads activations", "neither")

    def configure(self, prompt: PromptConfig, soft: SoftPromptConfig) -> tuple[PromptConfig, SoftPromptConfig]:
        """Configure prompt and soft prompt as the trained method does."""
        return self._trained.configure(prompt, soft)

    def history_reader(self, soft: SoftPromptConfig, context: ActivationContext) -> Callable[[Example], UserHistory]:
        """Return what reads the history of an example's user, as the other method does."""
        return self._trained.history_reader(soft, context)

    def transform_test_requests(self, requests: Requests, seed: int) -> Sequence[Request]:
        """Give each request the vectors of its donor."""
        return with_others_vectors(requests, seed)


def with_others_vectors(requests: Requests, seed: int) -> Sequence[Request]:
    """Give each request the vectors of its donor, chosen by `donors`."""
    donor_of = donors(requests, seed)

    def swapped(at: int, request: Request) -> Request:
        donor = requests[donor_of[at]]
        pool = [slot for slot in donor.slots if slot.diff is not None] or list(donor.slots)
        history = request.user_history
        if history is not None and donor.user_history is not None:
            history = _asked_by(donor.user_history, history)
        slots = tuple(_swap(slot, pool, k) for k, slot in enumerate(request.slots))
        return replace(request, slots=slots, user_history=history)

    return MappedRequests(requests, swapped)


def donors(
    requests: Requests, seed: int, fits: Callable[[Example, Example], bool] = lambda example, donor: True
) -> list[int]:
    """Choose a donor for each request: another user's request of the same category.

    The requests of a category are put in a random circular order. The donor of a request is the next one of another
    user who has not reviewed the requested item, since a peer's review of it tells what a stranger's past must not
    tell. Where everybody has, any other user donates. If a category has a single user, as in a small run, the donors
    come from all categories.

    Args:
        requests: the test requests.
        seed: seed of the order.
        fits: what else is asked of a donor's example for a request's, where somebody can meet it.

    Returns:
        For each request the index of its donor.

    Raises:
        DepError: all requests belong to one user.
    """
    targets = [requests.corpora[example.category].reviews[example.row] for example in requests.examples]
    users = [target.user for target in targets]
    items_of = [
        {requests.corpora[example.category].reviews[row].item for row in example.profile}
        for example in requests.examples
    ]
    if len(set(users)) < 2:
        raise DepError(f"requests: expected two users or more to exchange vectors, found {len(set(users))}")
    by_category: dict[str, list[int]] = {}
    for at, example in enumerate(requests.examples):
        by_category.setdefault(example.category, []).append(at)
    donor_of = list(range(len(requests)))
    rng = random.Random(seed)
    for members in by_category.values():
        single_user = len({users[at] for at in members}) < 2
        order = list(range(len(requests))) if single_user else members
        rng.shuffle(order)
        for place, at in enumerate(order):
            others = (order[(place + step) % len(order)] for step in range(1, len(order)))
            if at in members:
                strangers = [other for other in others if users[other] != users[at]]
                example, item = requests.examples[at], targets[at].item
                no_peers = [one for one in strangers if item not in items_of[one]] or strangers
                fitting = (other for other in no_peers if fits(example, requests.examples[other]))
                donor_of[at] = next(fitting, no_peers[0])
    return donor_of


def _asked_by(past: UserHistory, request: UserHistory) -> UserHistory:
    """Return the history `past` with what `request` says of the requested review."""
    return replace(
        past, category=request.category, query=request.query, asked_rating=request.asked_rating,
        item_peers=request.item_peers, item_peer_count=request.item_peer_count,
    )  # fmt: skip


def _swap(slot: Slot, pool: Sequence[Slot], k: int) -> Slot:
    if not pool:
        return slot
    donor = pool[k % len(pool)]
    diff = None if slot.diff is None else donor.diff if donor.diff is not None else slot.diff * 0
    return replace(slot, his=donor.his, diff=diff)
