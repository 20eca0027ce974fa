"""The engine writes texts together, each as it would be alone, in the order of what arrives."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from queue import Queue

import pytest

from dep.inference.generator import Generate
from dep.pipeline.personal.inputs import Strength
from dep.pipeline.personalizer import Ask, Personalizer
from dep.serving.engine import Busy, Engine, text_writer
from dep.serving.other_writers import LoneWriter, VllmWriter
from dep.serving.row_writer import RowWriter
from dep.serving.tickets import Answer, Cancelled, Event
from dep.utils.errors import DepError
from experiments.serving.canaries import compare
from experiments.serving.world import World, build, loaded

ASK = Ask(None, "thing 1", 4.0, "fine", user="user1", item_id="item1", max_new_tokens=12)


def served(engine: Engine, *asks: Ask, streams: bool = False) -> list[list[Event]]:
    """Return the events of asks that are submitted together."""
    queues: list[Queue[Event]] = [Queue() for _ in asks]
    for ask, queue in zip(asks, queues, strict=True):
        engine.submit(ask, queue.put, streams)
    found: list[list[Event]] = [[] for _ in asks]
    for events, queue in zip(found, queues, strict=True):
        while not events or isinstance(events[-1], str):
            events.append(queue.get(timeout=60))
    return found


def text(events: list[Event]) -> str:
    assert isinstance(events[-1], Answer), events[-1]
    return events[-1].text


def test_no_request_post_or_deletion_of_others_moves_an_answer(world: World, tmp_path: Path) -> None:
    found = compare(world, tmp_path, requests=30, users=6)
    assert (found.different, found.leaked, found.unequal_streams) == (0, 0, 0)
    assert found.together > 2  # they were written together
    assert found.moved > 15  # users, items and seeds matter
    assert found.updates > 0


def test_an_answer_is_the_text_that_the_library_generates(engine: Engine, personalizer: Personalizer) -> None:
    asks = [ASK, replace(ASK, user="user2", seed=3), replace(ASK, temperature=0.0), replace(ASK, max_new_tokens=2)]
    assert [text(events) for events in served(engine, *asks)] == [personalizer.generate_many([ask])[0] for ask in asks]


def test_an_adapter_at_the_output_is_served_as_the_library_writes_and_alone_as_in_company(tmp_path: Path) -> None:
    world = build(tmp_path, settings=["arms=[dep_memory]"])
    found = compare(world, tmp_path, requests=12, users=4)
    assert (found.different, found.leaked, found.unequal_streams) == (0, 0, 0)
    assert found.together > 1
    p, index = loaded(world, tmp_path / "own.sqlite", 4)
    engine = Engine(p, text_writer(p, 4), waiting=8)
    assert isinstance(engine.writer, RowWriter)
    weak, strong = ASK, replace(ASK, strength=Strength(his=30, diff=3))
    texts = [text(events) for events in served(engine, weak, strong)]
    engine.stop()
    assert texts == [p.generate_many([ask])[0] for ask in (weak, strong)]
    assert texts[0] != texts[1]  # the past acts in the server too
    index.close()


def test_a_stream_gives_the_text_in_pieces_and_counts_its_tokens(engine: Engine) -> None:
    (events,) = served(engine, ASK, streams=True)
    assert len(events) > 3
    assert "".join(map(str, events[:-1])) == text(events)
    answer = events[-1]
    assert isinstance(answer, Answer)
    assert 0 < answer.completion_tokens <= 12 < answer.prompt_tokens
    assert answer.finish == ("length" if answer.completion_tokens == 12 else "stop")


def test_an_error_reaches_its_own_request_alone(engine: Engine) -> None:
    good, bad = served(engine, ASK, replace(ASK, user="nobody"))
    assert text(good)
    assert isinstance(bad[-1], DepError)


def test_a_failing_step_answers_its_requests_with_the_error_and_the_engine_goes_on(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(engine.writer, "step", lambda: 1 / 0)
        (events,) = served(engine, ASK)
    assert isinstance(events[-1], ZeroDivisionError)
    assert text(served(engine, ASK)[0])
    assert engine.unfinished == 0


def test_a_cancelled_request_leaves_its_row(engine: Engine) -> None:
    events: Queue[Event] = Queue()
    ticket = engine.submit(replace(ASK, max_new_tokens=2000, temperature=2.0), events.put, streams=True)
    assert isinstance(events.get(timeout=60), str)
    ticket.cancel()
    while isinstance(event := events.get(timeout=60), str):
        pass
    assert isinstance(event, Cancelled | Answer)
    assert engine.unfinished == engine.writer.live == 0


def test_updates_run_between_what_was_submitted_before_and_after(engine: Engine) -> None:
    order: list[str] = []
    held = threading.Event()
    engine.call(held.wait)
    before, after = Future[Event](), Future[Event]()
    request = engine.personalizer.request

    def noted(ask: Ask):  # type: ignore[no-untyped-def]
        order.append(ask.title)
        return request(ask)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine.personalizer, "request", noted)
        engine.submit(replace(ASK, title="before"), before.set_result)
        update = engine.call(lambda: order.append("update"))
        engine.submit(replace(ASK, title="after"), after.set_result)
        held.set()
        update.result()
        for answer in (before, after):
            assert isinstance(answer.result(), Answer)
    assert order == ["before", "update", "after"]


def test_a_full_engine_refuses_and_a_stopped_one_has_answered_all(personalizer: Personalizer) -> None:
    engine = Engine(personalizer, LoneWriter(personalizer), waiting=2)
    held = threading.Event()
    engine.call(held.wait)
    answers = [Future[Event](), Future[Event]()]
    for answer in answers:
        engine.submit(ASK, answer.set_result)
    with pytest.raises(Busy, match="2 requests wait"):
        engine.submit(ASK, print)
    held.set()
    engine.stop()
    texts = [answer.result(timeout=0) for answer in answers]
    assert [event.text for event in texts if isinstance(event, Answer)] == [personalizer.generate_many([ASK])[0]] * 2
    with pytest.raises(Busy, match="stops"):
        engine.submit(ASK, print)


def test_other_writers_give_the_same_texts(personalizer: Personalizer) -> None:
    p, asks = personalizer, [replace(ASK, seed=seed, temperature=0.0, user=f"user{seed}") for seed in (1, 2)]
    plain = Generate(p.writer.settings, p.module.backbone, p.tokenizer, p.module.soft_prompt)
    for writer in (LoneWriter(p), VllmWriter(p, plain)):  # vLLM's class has the interface of `Generate`
        engine = Engine(p, writer)
        try:
            found = served(engine, *asks, streams=True)
        finally:
            engine.stop()
        assert [text(events) for events in found] == p.generate_many(asks)
        assert ["".join(map(str, events[:-1])) for events in found] == p.generate_many(asks)
