"""Turns an `Ask` into the `Request` that a run would make of the same reviews."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dep.config.schema import build
from dep.data.prompts.template import shown_branches
from dep.data.retrievers.texts import query_text
from dep.data.user_history import DAY_MS, item_text
from dep.models.adapters.base import Adapter
from dep.pipeline.arm import Arm
from dep.pipeline.personal.inputs import Ask, PastReview, Strength
from dep.types import Branch, Item, Request, Review, Slot, UserHistory
from dep.utils.errors import DepError

_UNKNOWN_STARS = 3.0
"""The stars that a user encoder reads where a rating is missing."""


class Known(NamedTuple):
    """The vectors of a past review."""

    his: Tensor
    diff: Tensor | None
    peers: int


class RequestBuilder:
    """Builds requests for one arm.

    Args:
        arm: the arm.
        adapter: its adapter, whose statistics say what the average vector is; None for an arm without one.
    """

    def __init__(self, arm: Arm, adapter: Adapter | None) -> None:
        self.prompt, soft = arm.configured
        self.branches: Sequence[Branch] = shown_branches(self.prompt, soft.branches)
        self.embedder: Any = build(arm.config, "embedder") if arm.needs_vectors else None
        self.adapter = adapter

    def __call__(self, ask: Ask) -> Request:
        """Build the request of an ask.

        Raises:
            DepError: the ask has no history.
        """
        if ask.history is None:
            raise DepError("history", "the user's past reviews", "none", "give history=[...], which may be empty")
        item, strength = Item("item", ask.item, ask.description), ask.strength
        newest = list(ask.history)[::-1][: self.prompt.history]
        slots = tuple(self._slot(past, number, strength) for number, past in enumerate(newest))
        history = self._user_history(ask, item) if self.prompt.reads_user_history else None
        return Request("request", "", "user", item, ask.rating, ask.title, "", slots, user_history=history)

    def _slot(self, past: PastReview, number: int, strength: Strength) -> Slot:
        """Combine a past review with its vectors, if the prompt shows soft tokens for each past review."""
        name = f"past {number}"
        review = Review("user", name, past.text, past.rating, past.title, past.time)
        item = Item(name, past.item, past.description)
        if not self.branches:
            return Slot(review, item)
        his_E, diff_E, _ = self._vectors(past)
        his = self._scaled("his", his_E, strength.his) if strength.his else None
        diff = self._scaled("diff", diff_E, strength.diff) if strength.diff and diff_E is not None else None
        return Slot(review, item, his, diff)

    def _vectors(self, past: PastReview) -> Known:
        """Return the vectors of a past review: those that it carries, or those of Eq. 2 and 4."""
        if past.vectors is not None:
            his_E, diff_E = past.vectors
            return Known(his_E, diff_E, past.peer_count)
        his_E = self._encode([past.text])[0]
        if not past.peers:
            return Known(his_E, None, 0)
        diff_E = (his_E.double() - self._encode(list(past.peers)).double().mean(0)).float()
        return Known(his_E, diff_E, len(past.peers))

    def _scaled(self, branch: Branch, x_SE: Tensor, strength: float) -> Tensor:
        """Scale the deviation of vectors [..., E] from the mean of the branch's training vectors."""
        if strength == 1:
            return x_SE
        average_E = None if self.adapter is None else self.adapter.average(branch)
        if average_E is None:
            return strength * x_SE
        average_E = average_E.to(x_SE)
        return average_E + strength * (x_SE - average_E)

    def _user_history(self, ask: Ask, item: Item) -> UserHistory:
        recent = list(ask.history or ())[-self.prompt.max_user_history :]
        known, nothing = [self._vectors(past) for past in recent], torch.zeros(self.embedder.dim)
        last = max((past.time for past in recent), default=0)
        ratings = torch.tensor([past.rating for past in recent]).float()
        his_LE = torch.stack([one.his for one in known]) if known else torch.zeros(0, self.embedder.dim)
        history = UserHistory(
            his=self._scaled("his", his_LE, ask.strength.his),
            item=self._encode([item_text(Item("", past.item, past.description)) for past in recent]),
            rating=ratings.nan_to_num(_UNKNOWN_STARS),
            days=torch.tensor([(last - past.time) / DAY_MS for past in recent]),
            category=0,
            query=self._encode([query_text(item, ask.title)])[0],
        )
        if not self.prompt.reads_differences:
            return history
        if not ask.strength.diff:
            known = [Known(one.his, None, 0) for one in known]
        diff = [nothing if one.diff is None else self._scaled("diff", one.diff, ask.strength.diff) for one in known]
        return replace(
            history,
            diff=torch.stack(diff) if diff else history.his,
            peers=torch.tensor([float(one.peers) for one in known]),
            asked_rating=_UNKNOWN_STARS if math.isnan(ask.rating) else ask.rating,
            item_peers=self._encode(list(ask.peers)).double().mean(0).float() if ask.peers else nothing,
            item_peer_count=len(ask.peers),
        )

    def _encode(self, texts: list[str]) -> Tensor:
        if not texts:
            return torch.zeros(0, self.embedder.dim)
        vectors: Tensor = self.embedder.encode(texts)
        return vectors.float()
