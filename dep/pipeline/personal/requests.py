"""Turns an `Ask` into the `Request` that a run would make of the same reviews."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from dep.config.schema import build
from dep.data.embedders.base import Embedder
from dep.data.prompts.template import shown_branches
from dep.data.retrievers.base import Retriever
from dep.data.retrievers.texts import query_text
from dep.data.user_history import DAY_MS, item_text
from dep.models.adapters.base import Adapter
from dep.pipeline.arm import Arm
from dep.pipeline.personal.inputs import Ask, PastReview, Strength
from dep.pipeline.personal.users import Background, StoredItem, Users
from dep.types import Branch, Corpus, Example, Item, Request, Review, Slot, UserHistory
from dep.utils.errors import DepError

_UNKNOWN_STARS = 3.0
"""The stars that a user encoder reads where a rating is missing."""
_REMEMBERED = 20_000
"""Number of texts whose vectors are remembered, 30 MB at a width of 384."""


class PastReader(Protocol):
    """Makes a history of past reviews and their items."""

    def __call__(self, pairs: Sequence[tuple[Review, Item]], /) -> UserHistory:
        """Return the history."""

    def forget(self, texts: Sequence[str]) -> None:
        """Drop what is remembered of reviews with these texts."""


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
        embedder: embeds texts; None for an arm that reads no vectors.
    """

    def __init__(self, arm: Arm, adapter: Adapter | None, embedder: Embedder | None) -> None:
        self.prompt, soft = arm.configured
        self.branches: Sequence[Branch] = shown_branches(self.prompt, soft.branches)
        self.adapter, self.embedder, self._at_output = adapter, embedder, soft.memory
        self.users: Users = _nobody
        self.past_reader: PastReader | None = None
        """Lets the LLM read past reviews, for an adapter that acts at the LLM's output."""
        self._retriever: Retriever = build(arm.config, "retriever")
        self._memo: OrderedDict[str, Tensor] = OrderedDict()
        self._query: tuple[str, Tensor] | None = None
        """The item and title of the last request, with their vector."""

    @property
    def longest(self) -> int:
        """The largest number of past reviews that a request uses."""
        return max(self.prompt.history, self.prompt.max_user_history if self.prompt.reads_user_history else 0)

    def background(self, ask: Ask) -> Background:
        """Return the past reviews of an ask, and what it says of the item.

        Raises:
            DepError: the ask has both a history and a user, or neither, or the user is not known.
        """
        if (ask.history is None) == (ask.user is None):
            found = "neither" if ask.user is None else "both"
            raise DepError("ask", "history=[...] or user=...", found, "history=[] is a user without past reviews")
        if ask.history is not None:
            return Background(ask.history, Item("item", ask.item, ask.description))
        return self.users(ask, self.longest)

    def reads(self, branch: Branch) -> bool:
        """Return whether requests hold vectors of a branch."""
        in_history = self.prompt.reads_user_history and (branch == "his" or self.prompt.reads_differences)
        return branch in self.branches or in_history

    def scales(self, branch: Branch) -> bool:
        """Return whether an ask's strength for a branch may be other than 1."""
        return self.reads(branch) if self.past_reader is None else getattr(self._at_output, branch)

    def __call__(self, ask: Ask) -> Request:
        """Build the request of an ask; `background` names the errors."""
        return self.build(ask, self.background(ask))

    def used(self, ask: Ask) -> Background:
        """Return what `background` does, without past reviews that the request leaves out."""
        known = self.background(ask)
        rows = sorted(self._shown(known, ask))
        if self.prompt.reads_user_history:
            rows = list(range(len(known.history)))[-self.longest :] if self.longest else []
        return known._replace(history=[known.history[row] for row in rows])

    def build(self, ask: Ask, known: Background) -> Request:
        """Build the request of an ask from what is known of the user and the item."""
        rows = self._shown(known, ask)
        slots = tuple(self._slot(known.history[row], number, ask.strength) for number, row in enumerate(rows))
        history = None
        if self.prompt.reads_user_history:
            history = self._user_history(known, ask) if self.past_reader is None else self._past(known, ask)
        return Request("request", "", "user", known.item, ask.rating, ask.title, "", slots, user_history=history)

    def _shown(self, known: Background, ask: Ask) -> list[int]:
        """Return the indices of the past reviews that the prompt shows, in the order of the arm's retriever."""
        items = {str(at): Item(str(at), past.item, past.description) for at, past in enumerate(known.history)}
        reviews = [
            Review("user", str(at), past.text, past.rating, past.title, past.time)
            for at, past in enumerate(known.history)
        ]
        target = Review("user", "item", "", ask.rating, ask.title, 0)
        corpus = Corpus("", [*reviews, target], items | {"item": known.item})
        example = Example("", "test", len(reviews), tuple(range(len(reviews))))
        return self._retriever(example, corpus, self.prompt.history)

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
            return Known(his_E, diff_E, past.peer_count if diff_E is not None else 0)
        his_E = self.encode([past.text])[0]
        if not past.peers:
            return Known(his_E, None, 0)
        diff_E = (his_E.double() - self.encode(list(past.peers)).double().mean(0)).float()
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

    def _past(self, known: Background, ask: Ask) -> UserHistory:
        """Let the LLM read the past reviews, each after its own item, rating and title."""
        assert self.past_reader is not None, "the adapter acts at the LLM's output"
        recent = list(known.history)[-self.prompt.max_user_history :]
        history = self.past_reader(
            [
                (
                    Review("user", str(at), past.text, past.rating, past.title, past.time),
                    Item(str(at), past.item, past.description),
                )
                for at, past in enumerate(recent)
            ]
        )
        strength = ask.strength.his, ask.strength.diff
        return replace(history, memory=tuple(one._replace(strength=strength) for one in history.memory))

    def _user_history(self, known: Background, ask: Ask) -> UserHistory:
        recent = list(known.history)[-self.prompt.max_user_history :]
        vectors = [self._vectors(past) for past in recent]
        query_E = self._of_query(query_text(known.item, ask.title))
        nothing_LE = query_E.new_zeros(len(recent), len(query_E))
        last = max((past.time for past in recent), default=0)
        his_LE = torch.stack([one.his for one in vectors]) if vectors else nothing_LE
        history = UserHistory(
            his=self._scaled("his", his_LE, ask.strength.his),
            item=self.encode([item_text(Item("", past.item, past.description)) for past in recent]),
            rating=torch.tensor([past.rating for past in recent]).float().nan_to_num(_UNKNOWN_STARS),
            days=torch.tensor([(last - past.time) / DAY_MS for past in recent]),
            category=known.category,
            query=query_E,
        )
        if not self.prompt.reads_differences:
            return history
        if not ask.strength.diff:
            vectors = [Known(one.his, None, 0) for one in vectors]
        diff = [
            nothing_LE[0] if one.diff is None else self._scaled("diff", one.diff, ask.strength.diff) for one in vectors
        ]
        peers_ME = self.encode(list(ask.peers))
        mean = (peers_ME.double().mean(0).float(), len(peers_ME)) if ask.peers else (torch.zeros_like(query_E), 0)
        item_peers_E, count = known.peers or mean
        return replace(
            history,
            diff=torch.stack(diff) if diff else history.his,
            peers=torch.tensor([float(one.peers) for one in vectors]),
            asked_rating=_UNKNOWN_STARS if math.isnan(ask.rating) else ask.rating,
            item_peers=item_peers_E,
            item_peer_count=count,
        )

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Embed texts; each is embedded alone and remembered, so that its vector depends on no other text.

        Returns:
            The vectors [N, E] in float32.

        Raises:
            DepError: the arm reads no vectors.
        """
        found = []
        for text in texts:
            if text not in self._memo:
                self._memo[text] = self.embed([text])[0]
            self._memo.move_to_end(text)
            found.append(self._memo[text])
            while len(self._memo) > _REMEMBERED:
                self._memo.popitem(last=False)
        return torch.stack(found) if found else self.embed([])

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Do what `encode` does, and remember nothing."""
        if self.embedder is None:
            raise DepError("embed", "an adapter that reads vectors", "one that reads texts alone")
        found = [self.embedder.encode([text])[0].float() for text in texts]
        return torch.stack(found) if found else torch.zeros(0, self.embedder.dim)

    def _of_query(self, text: str) -> Tensor:
        """Return the vector [E] of what a request says of its item; only the last one is remembered."""
        if self._query is None or self._query[0] != text:
            self._query = text, self.embed([text])[0]
        return self._query[1]

    def forget(self, reviews: Sequence[StoredItem]) -> None:
        """Drop the vectors of some reviews and of their items, and what the LLM has read of them."""
        self._query = None
        for review in reviews:
            for text in (review.text, item_text(Item("", review.item_title, review.description))):
                self._memo.pop(text, None)
        if self.past_reader is not None:
            self.past_reader.forget([review.text for review in reviews])


def _nobody(ask: Ask, newest: int) -> Background:
    """Raise the error of an ask for a user where none can be looked up."""
    raise DepError(f"user {ask.user!r}", "a store or a run in which users are looked up", "none", "give history=[...]")
