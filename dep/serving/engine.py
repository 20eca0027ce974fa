"""The engine of the server: one thread that reads requests in order, and writes their texts together.

    submit(ask) -+                                              +-> text of one request, piece by piece
    call(f)     -+-> jobs, in order of arrival -> requests -> rows
                        f runs between two tokens

A request reads the store when its job's turn comes, not when a row is free: it sees exactly the updates that arrived
before it. All work on the model, the embedder and the store happens in this thread.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, Queue
from typing import TypeVar

from dep.inference.row_decoding import RowDecoder
from dep.pipeline.personalizer import Ask, Personalizer
from dep.serving.other_writers import LoneWriter, VllmWriter
from dep.serving.row_writer import RowWriter
from dep.serving.tickets import Cancelled, Event, TextWriter, Ticket
from dep.store.reviews import StoredReview
from dep.types import Request
from dep.utils.errors import DepError

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Busy(Exception):
    """Raised for a request that the engine does not accept, since it is full or about to stop."""


class Engine:
    """Answers asks of one `Personalizer`; each answer has the bits of one that is served alone.

    Args:
        personalizer: the adapter; the engine is the only one to use it.
        writer: writes the texts, from `text_writer`.
        waiting: the most requests that are accepted and not finished.
        on_step: receives the number of texts in each step.
    """

    def __init__(
        self, personalizer: Personalizer, writer: TextWriter, waiting: int = 256,
        on_step: Callable[[int], None] = lambda live: None,
    ) -> None:  # fmt: skip
        self.personalizer, self.writer, self.waiting = personalizer, writer, waiting
        self._on_step = on_step
        self._jobs: Queue[Callable[[], None] | None] = Queue()
        self._ready: deque[tuple[Ticket, Request]] = deque()
        self._held: set[Ticket] = set()
        """What was prepared and is not answered; prompts hold the texts of their users."""
        self._forgetting: list[tuple[set[Ticket], Sequence[StoredReview], Future[None]]] = []
        self._open, self._unfinished, self._stopping = threading.Lock(), 0, False
        self._thread = threading.Thread(target=self._work, name="dep-engine")
        self._thread.start()

    @property
    def unfinished(self) -> int:
        """The number of requests that were accepted and are not answered yet."""
        return self._unfinished

    @property
    def alive(self) -> bool:
        """Whether the engine answers requests."""
        return self._thread.is_alive() and not self._stopping

    def submit(self, ask: Ask, emit: Callable[[Event], None], streams: bool = False) -> Ticket:
        """Accept a request; its events come to `emit` in the engine's thread, an `Answer` or an error last.

        Raises:
            Busy: too many requests wait, or the engine stops.
        """

        def finish(event: Event) -> None:
            if not isinstance(event, str):
                with self._open:
                    self._unfinished -= 1
                self._held.discard(ticket)
            emit(event)

        ticket = Ticket(ask, finish, streams)
        with self._open:
            if self._stopping or self._unfinished >= self.waiting:
                raise Busy("the server stops" if self._stopping else f"{self.waiting} requests wait already")
            self._unfinished += 1
            self._jobs.put(lambda: self._prepare(ticket))
        return ticket

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Run a function in the engine's thread, after what was submitted before and before what comes later.

        Raises:
            Busy: the engine stops.
        """
        result: Future[T] = Future()

        def job() -> None:
            try:
                result.set_result(function())
            except Exception as error:
                result.set_exception(error)

        with self._open:
            if self._stopping:
                raise Busy("the server stops")
            self._jobs.put(job)
        return result

    def forget(self, reviews: Sequence[StoredReview]) -> Future[None]:
        """Drop what is kept in memory of reviews that leave the store; called in the engine's thread.

        Returns:
            What is done when nothing of them is left. Requests of their users that were prepared before hold their
            texts, and are answered first.
        """
        done, users = Future[None](), {review.user for review in reviews}
        self.personalizer.forget(reviews)
        if held := {ticket for ticket in self._held if ticket.ask.user in users}:
            self._forgetting.append((held, reviews, done))
        else:
            done.set_result(None)
        return done

    def stop(self) -> None:
        """Answer what was accepted, accept no more, and end the thread."""
        with self._open:
            self._stopping = True
            self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while self._run_jobs() or self._ready or self.writer.live:
            try:
                if self._ready and self.writer.room:
                    self._admit()
                if self.writer.live:
                    self._on_step(self.writer.live)
                    self.writer.step()
            except Exception as error:
                _log.exception("a step failed; the requests in it are answered with an error")
                self.writer.fail(error)
            self._forget_again()

    def _forget_again(self) -> None:
        """Forget the reviews that no request in flight holds any more."""
        waiting, self._forgetting = self._forgetting, []
        for tickets, reviews, done in waiting:
            if tickets & self._held:
                self._forgetting.append((tickets, reviews, done))
            else:
                self.personalizer.forget(reviews)
                done.set_result(None)

    def _run_jobs(self) -> bool:
        """Run the jobs that have arrived, and wait for one if there is nothing to write; False after the last."""
        wait = not (self._ready or self.writer.live or self._stopping)
        try:
            while (job := self._jobs.get(block=wait)) is not None:
                job()
                del job  # while the next one is awaited, nothing holds what this one held
                wait = not (self._ready or self.writer.live)
        except Empty:
            return not self._stopping
        return False

    def _prepare(self, ticket: Ticket) -> None:
        """Look up what a request needs, as the store is now."""
        try:
            self._ready.append((ticket, self.personalizer.request(ticket.ask)))
            self._held.add(ticket)
        except Exception as error:
            if not isinstance(error, DepError):
                _log.exception("a request could not be prepared")
            ticket.emit(error)

    def _admit(self) -> None:
        """Begin the text of the request that has waited longest; its first token is written."""
        ticket, request = self._ready.popleft()
        if ticket.cancelled:
            ticket.emit(Cancelled())
            return
        try:
            self.writer.admit(ticket, request)
        except Exception as error:
            _log.exception("a prompt could not be read")
            ticket.emit(error)


def text_writer(personalizer: Personalizer, rows: int) -> TextWriter:
    """Choose what writes the texts: vLLM where the adapter's `generate.engine` says so, else rows if they are exact."""
    config = personalizer.arm.config
    if config.generate.engine == "vllm":
        from dep.inference.vllm import VLLM
        from dep.models.backbones.load import files

        module = personalizer.module
        folder = files(config.backbone)
        engine = VLLM(personalizer.writer.settings, folder, module.backbone, personalizer.tokenizer, module.soft_prompt)
        return VllmWriter(personalizer, engine)
    if RowWriter.can_write(personalizer) and (decoder := RowDecoder(personalizer.module.backbone, rows)).is_exact():
        return RowWriter(personalizer, decoder)
    return LoneWriter(personalizer)
