"""`dep serve` with an adapter whose `generate.engine` is vllm (`make test-vllm`)."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from queue import Queue

import httpx
import pytest

from dep.inference.vllm import VLLM
from dep.pipeline.personalizer import Ask, Personalizer
from dep.serving.engine import Engine, text_writer
from dep.serving.other_writers import VllmWriter
from dep.serving.tickets import Answer, Event
from experiments.serving.process import Server, serving
from experiments.serving.world import World, build, loaded

pytest.importorskip("vllm")

USERS = 6
ASK = Ask(None, "thing 1", 4.0, "fine", user="user1", item_id="item1", max_new_tokens=12, temperature=0.0)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build(tmp_path_factory.mktemp("served"), settings=["generate.engine=vllm"])


@pytest.fixture(scope="module")
def personalizer(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Personalizer]:
    p, index = loaded(world, tmp_path_factory.mktemp("store") / "store.sqlite", USERS)
    yield p
    index.close()


@pytest.fixture(scope="module")
def engine(personalizer: Personalizer) -> Iterator[Engine]:
    writer = text_writer(personalizer, 4)
    assert isinstance(writer, VllmWriter)
    assert isinstance(writer.engine, VLLM)
    engine = Engine(personalizer, writer)
    yield engine
    engine.stop()
    writer.engine.close()


def answers(engine: Engine, *asks: Ask) -> list[tuple[str, Answer]]:
    """Submit asks together as streams; return the pieces of each, joined, and its answer."""
    queues: list[Queue[Event]] = [Queue() for _ in asks]
    for ask, queue in zip(asks, queues, strict=True):
        engine.submit(ask, queue.put, True)
    found = []
    for queue in queues:
        pieces: list[Event] = []
        while isinstance(event := queue.get(timeout=300), str):
            pieces.append(event)
        assert isinstance(event, Answer), event
        found.append(("".join(map(str, pieces)), event))
    return found


def test_greedy_answers_of_vllm_are_those_of_the_library(engine: Engine, personalizer: Personalizer) -> None:
    asks = [replace(ASK, user=f"user{at % USERS}", max_new_tokens=(5, 12)[at % 2]) for at in range(12)]
    found, expected = answers(engine, *asks), personalizer.generate_many(asks)
    assert [answer.text for _, answer in found] == expected
    assert [streamed for streamed, _ in found] == expected
    assert len(set(expected)) > 3  # users matter
    assert all(
        0 < answer.completion_tokens <= (ask.max_new_tokens or 0) for (_, answer), ask in zip(found, asks, strict=True)
    )


def test_a_drawn_answer_of_vllm_depends_on_its_seed_alone(engine: Engine) -> None:
    drawn = [replace(ASK, temperature=1.5, seed=seed) for seed in (1, 2, 1, 3)]
    first, second, again, third = (answer.text for _, answer in answers(engine, *drawn))
    assert first == again
    assert len({first, second, third}) > 1


def test_a_server_with_vllm_answers_deletes_and_ends_with_code_0(
    world: World, personalizer: Personalizer, tmp_path: Path
) -> None:
    _, index = loaded(world, tmp_path / "store.sqlite", USERS)
    index.close()
    asks = [replace(ASK, user=f"user{at}") for at in range(4)]
    with serving(world.served, f"store={tmp_path / 'store.sqlite'}") as server, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda ask: _chat(server, ask), asks))
        assert [one.json()["choices"][0]["message"]["content"] for one in found] == personalizer.generate_many(asks)
        httpx.delete(f"{server.url}/users/user1", timeout=300).raise_for_status()
        assert _chat(server, asks[1]).status_code == 404
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=120) == 0


def _chat(server: Server, ask: Ask) -> httpx.Response:
    body = {
        "user": ask.user, "max_tokens": ask.max_new_tokens, "temperature": ask.temperature,
        "item": {"title": ask.item, "rating": ask.rating, "review_title": ask.title, "id": ask.item_id},
    }  # fmt: skip
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=300)
