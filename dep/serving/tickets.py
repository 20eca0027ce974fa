"""What passes between a request's handler and the thread that writes texts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from dep.pipeline.personalizer import Ask
from dep.types import Request


class Answer(NamedTuple):
    """A finished text."""

    text: str
    finish: Literal["stop", "length"]
    """Whether the text ended by itself, or by the largest number of tokens."""
    prompt_tokens: int
    completion_tokens: int


Event = str | Answer | Exception
"""A piece of a streamed text, the finished text, or the error that ended it."""


class Cancelled(Exception):
    """Ends the text of a request for which nobody waits any more."""


class Ticket:
    """A request that waits for its text.

    Args:
        ask: what is asked.
        emit: receives the events in the thread of the engine; it must not block.
        streams: whether pieces are emitted before the answer.
    """

    def __init__(self, ask: Ask, emit: Callable[[Event], None], streams: bool = False) -> None:
        self.ask, self.emit, self.streams = ask, emit, streams
        self.accepted = time.monotonic()
        self.cancelled = False

    def cancel(self) -> None:
        """Stop writing the text, since nobody waits for it any more."""
        self.cancelled = True


class TextWriter(Protocol):
    """Writes texts for the engine, which calls it in one thread."""

    @property
    def room(self) -> int:
        """How many further requests can be admitted now."""

    @property
    def live(self) -> int:
        """How many requests are being written."""

    def admit(self, ticket: Ticket, request: Request) -> None:
        """Begin a text."""

    def step(self) -> None:
        """Go on with all texts, and emit what is new."""

    def fail(self, error: Exception) -> None:
        """Give up all texts that are being written."""
