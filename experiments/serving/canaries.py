"""Does another user's request or review ever move an answer? Mixed requests, in company and alone.

The same requests, posts and deletions, in the same order, go to two engines with equal stores. One gets them as fast as
they come and writes them together; the other gets each when the last is answered. Answers must be equal.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from dep.pipeline.personalizer import Ask, PastReview, Personalizer
from dep.serving.engine import Engine, text_writer
from dep.serving.row_writer import RowWriter
from dep.serving.tickets import Answer, Event
from dep.store.peer_index import PeerIndex
from dep.store.reviews import StoredReview
from dep.utils.errors import DepError
from dep.utils.progress import stage
from experiments.serving.world import World, canary_of, loaded, name_of, review

_NEW = "somebody new"


class Op(NamedTuple):
    """A request, or an update: a review to store, or a user whose reviews are deleted."""

    user: str
    ask: Ask | None = None
    streams: bool = False
    new: StoredReview | None = None
    pause: float = 0.0
    """Seconds to wait before it."""


@dataclass
class Outcome:
    """What came of the comparison."""

    requests: int
    updates: int
    users: int
    different: int
    """Answers that differ between company and alone."""
    leaked: int
    """Answers that hold another user's canary."""
    moved: int
    """Distinct answers, which shows that users matter."""
    together: float
    """Texts in an average step."""
    unequal_streams: int
    """Streams whose pieces are not the text."""

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows of a table."""
        return [
            ("requests of users", f"{self.requests:,} of {self.users}"),
            ("posts and deletions among them", f"{self.updates:,}"),
            ("texts in an average step", f"{self.together:.1f}"),
            ("distinct answers", f"{self.moved:,}"),
            ("answers that differ from those served alone", f"{self.different}"),
            ("streams whose pieces differ from the text", f"{self.unequal_streams}"),
            ("answers with another user's canary", f"{self.leaked}"),
        ]


def ops(world: World, requests: int, users: int, seed: int = 0) -> list[Op]:
    """Draw requests of known and new users, mixed with posts and deletions."""
    rng = random.Random(seed)
    result: list[Op] = []
    while sum(op.ask is not None for op in result) < requests:
        user, kind = name_of(rng.randrange(users)), rng.random()
        item, pause = rng.randrange(users), rng.choice([0.0, 0.0, 0.0, 0.002])
        if kind < 0.15:
            result.append(Op(user, new=review(world, rng, user, item), pause=pause))
            continue
        if kind < 0.17:
            result.append(Op(user, pause=pause))
            new = (review(world, rng, user, rng.randrange(users)) for _ in range(2))
            result += [Op(user, new=one) for one in new]
            continue
        ask = Ask(
            None, f"thing {item}", float(rng.randint(1, 5)), rng.choice(["", "fine", "bad"]), seed=rng.randrange(5),
            user=user, item_id=f"item{item}", max_new_tokens=rng.choice([4, 9, 16]),
            temperature=rng.choice([None, 0.0, 1.2]),
        )  # fmt: skip
        if kind > 0.9:  # a history in the request
            past = [
                PastReview(one.item_title, one.text, one.rating, one.title, time=at, peers=[rng.choice(world.texts)])
                for at in range(rng.randint(0, 3))
                for one in [review(world, rng, user, at)]
            ]
            ask = Ask(past, f"thing {item}", 3.0, seed=rng.randrange(5), max_new_tokens=9)
        result.append(Op(_NEW if ask.user is None else user, ask, rng.random() < 0.3, pause=pause))
    return result


def serve(world: World, store: Path, users: int, todo: list[Op], alone: bool) -> tuple[list[list[Event]], float]:
    """Give the ops to an engine; return the events of each request, and the texts in an average step."""
    (p, index), steps = loaded(world, store, users), list[int]()
    writer = text_writer(p, 8)
    if not isinstance(writer, RowWriter):
        raise DepError(world.served, "an adapter whose texts can be written together exactly", "another")
    engine = Engine(p, writer, len(todo) + 1, steps.append)
    answers: list[Future[list[Event]]] = []
    updates: list[Future[object]] = []
    try:
        with stage("alone" if alone else "in company", len(todo), show=len(todo) > 200) as advance:
            for op in todo:
                time.sleep(0 if alone else op.pause)
                if op.ask is not None:
                    answers.append(Future())
                    engine.submit(op.ask, _collector(answers[-1]), op.streams)
                else:
                    updates.append(engine.call(partial(_update, p, index, op)))
                if alone:
                    (answers if op.ask is not None else updates)[-1].result()
                advance(1)
        for update in updates:
            update.result()
        return [answer.result() for answer in answers], sum(steps) / len(steps)
    finally:
        engine.stop()
        index.close()


def compare(world: World, folder: Path, requests: int, users: int) -> Outcome:
    """Serve the same ops in company and alone, and compare the answers."""
    todo = ops(world, requests, users)
    asked = [op for op in todo if op.ask is not None]
    company, together = serve(world, folder / "company.sqlite", users, todo, alone=False)
    alone, _ = serve(world, folder / "alone.sqlite", users, todo, alone=True)
    texts = [_text(events) for events in company]
    pairs = list(zip(asked, company, texts, strict=True))
    return Outcome(
        requests=len(asked), updates=len(todo) - len(asked), users=users,
        different=sum(text != _text(events) for text, events in zip(texts, alone, strict=True)),
        leaked=sum(_foreign(op, text) for op, _, text in pairs),
        moved=len(set(texts)), together=together,
        unequal_streams=sum("".join(map(str, events[:-1])) != text for op, events, text in pairs
                            if op.streams and isinstance(events[-1], Answer)),
    )  # fmt: skip


def _text(events: list[Event]) -> str:
    """Return the text of a request, or the message of its error (its user may be deleted)."""
    last = events[-1]
    return last.text if isinstance(last, Answer) else str(last)


def _foreign(op: Op, text: str) -> bool:
    own = canary_of(op.user)
    return any(word != own for word in re.findall(r"canary\d+x", text))


def _update(p: Personalizer, index: PeerIndex, op: Op) -> None:
    """Store the review of an op, or delete its user."""
    if op.new is None:
        index.delete_user(op.user)
    else:
        index.add([op.new], p.embed([op.new.text]))


def _collector(result: Future[list[Event]]) -> Callable[[Event], None]:
    """Return what receives the events of a request, and sets the result at the last."""
    events: list[Event] = []

    def emit(event: Event) -> None:
        events.append(event)
        if not isinstance(event, str):
            result.set_result(events)

    return emit
