"""What the routes of the server do: answer requests, store reviews, delete users."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Protocol

import torch
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from torch import Tensor

from dep.serving.engine import Engine
from dep.serving.forms import Form
from dep.serving.metrics import Metrics
from dep.serving.schema import ChatBody, CompletionBody, ReviewsBody
from dep.serving.settings import ServeConfig
from dep.serving.tickets import Answer, Cancelled, Event, Ticket
from dep.store.reviews import Key, StoredReview
from dep.utils.errors import DepError

_CATEGORY = "reviews"
"""The category of a review that names none, in a store without any."""


class Reviews(Protocol):
    """The part of `dep.PeerIndex` that the server writes to."""

    def add(self, reviews: Sequence[StoredReview], vectors_NE: Tensor) -> None:
        """Add reviews [N] with their vectors [N, E]."""

    def find(self, keys: Sequence[Key]) -> list[tuple[StoredReview, Tensor] | None]:
        """Return the review and the vector [E] of each key; None for one that is not there."""

    def reviews(self, user: str) -> list[StoredReview]:
        """Return all reviews of a user."""

    def delete_user(self, user: str) -> int:
        """Delete a user's reviews and return their number."""

    def categories(self) -> list[str]:
        """Return the names of all categories."""


class NotFound(Exception):
    """Raised for what is not there: a model, or a store."""


class Service:
    """Serves one adapter.

    Args:
        engine: writes the texts.
        store: keeps users' reviews; None if users are those of a run.
        limits: the settings of the server.
        metrics: counts what is done.
        model: the name of the adapter.
    """

    def __init__(
        self, engine: Engine, store: Reviews | None, limits: ServeConfig, metrics: Metrics, model: str
    ) -> None:
        self.engine, self.store, self.limits, self.metrics, self.model = engine, store, limits, metrics, model
        self.started = int(time.time())
        self._next_time = 0  # milliseconds; of reviews without a time, the later in a post is the later one
        metrics.watch_unfinished(lambda: engine.unfinished)

    async def complete(self, body: ChatBody | CompletionBody, request: Request) -> Response:
        """Answer a request of either kind, whole or as a stream.

        Raises:
            NotFound: the request names another model.
            DepError: the request is not valid, or its user is not known.
            Busy: too many requests wait.
        """
        if body.model not in ("", self.model):
            raise NotFound(f"expected the model {self.model}, found another name")
        ask = body.ask(self.limits, self.engine.personalizer.writer.settings.max_new_tokens)
        loop, events = asyncio.get_running_loop(), asyncio.Queue[Event]()
        began = time.monotonic()

        def emit(event: Event) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        ticket = self.engine.submit(ask, emit, body.stream)
        form = Form(isinstance(body, ChatBody), self.model)
        try:
            first = await _unless_gone(events, request)
        except BaseException:
            ticket.cancel()
            raise
        if isinstance(first, Exception):
            raise first
        if body.stream:
            self.metrics.first.observe(time.monotonic() - began)
            usage = body.stream_options is not None and body.stream_options.include_usage
            return StreamingResponse(self._stream(first, events, ticket, form, usage), media_type="text/event-stream")
        assert isinstance(first, Answer), "pieces come only in streams"
        self._count(first)
        return JSONResponse(form.complete(first))

    async def _stream(
        self, event: Event, events: asyncio.Queue[Event], ticket: Ticket, form: Form, usage: bool
    ) -> AsyncIterator[str]:
        """Yield the events of a stream; the text is not written on if the client leaves."""
        begun = False
        try:
            while isinstance(event, str):
                yield form.piece(event, first=not begun)
                begun, event = True, await events.get()
            if isinstance(event, Exception):
                raise event
            self._count(event)
            yield form.end(event, usage)
        finally:
            ticket.cancel()

    def _count(self, answer: Answer) -> None:
        self.metrics.tokens.inc(answer.completion_tokens)
        self.metrics.prompt_tokens.inc(answer.prompt_tokens)

    async def add(self, body: ReviewsBody) -> dict[str, int]:
        """Store reviews, all or none; each is embedded by itself, between two tokens of others' texts.

        Reviews without a time get that of the post, one millisecond apart, in their order.

        Raises:
            NotFound: the server has no store.
            DepError: there are too many reviews, or one cannot be stored.
        """
        store, call = self._needed_store(), self.engine.call
        if len(body.reviews) > self.limits.max_reviews:
            raise DepError("reviews", f"at most {self.limits.max_reviews} (max_reviews)", str(len(body.reviews)))
        if not body.reviews:
            return {"stored": 0}
        embed = self.engine.personalizer.embed
        vectors = [await asyncio.wrap_future(call(partial(embed, [review.text]))) for review in body.reviews]
        now = max(time.time_ns() // 1_000_000, self._next_time)
        self._next_time = now + len(body.reviews)

        def store_all() -> None:
            names = {review.category for review in body.reviews}
            category = self._only_category(store.categories()) if "" in names else ""
            reviews = [review.stored(category, now + place) for place, review in enumerate(body.reviews)]
            replaced = [found[0] for found in store.find([review.key for review in reviews]) if found]
            store.add(reviews, torch.cat(vectors))
            if replaced:
                self.engine.forget(replaced)

        await asyncio.wrap_future(call(store_all))
        self.metrics.reviews.inc(len(body.reviews))
        return {"stored": len(body.reviews)}

    async def delete(self, user: str) -> dict[str, int]:
        """Delete all reviews of a user; the answer comes when nothing of them is left in memory either.

        Raises:
            NotFound: the server has no store.
        """
        store = self._needed_store()

        def delete_all() -> tuple[int, Future[None]]:
            forgotten = self.engine.forget(store.reviews(user))
            return store.delete_user(user), forgotten

        count, forgotten = await asyncio.wrap_future(self.engine.call(delete_all))
        await asyncio.wrap_future(forgotten)
        self.metrics.deleted.inc(count)
        return {"deleted": count}

    def _needed_store(self) -> Reviews:
        if self.store is None:
            raise NotFound("this server has no store; start it with store=FILE, or create one with `dep update`")
        return self.store

    @staticmethod
    def _only_category(names: list[str]) -> str:
        if len(names) > 1:
            raise DepError("category", f"one of {', '.join(names)}", "none", "name it in each review")
        return names[0] if names else _CATEGORY


async def _unless_gone(events: asyncio.Queue[Event], request: Request) -> Event:
    """Wait for an event.

    Raises:
        Cancelled: the client has closed the connection.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    tasks = [asyncio.ensure_future(events.get()), asyncio.ensure_future(gone())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            event: Event = tasks[0].result()  # type: ignore[assignment]
            return event
        raise Cancelled
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                if not task.done():
                    await task
