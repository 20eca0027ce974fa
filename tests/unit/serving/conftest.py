"""Shared parts of the server's tests: one adapter, one engine, and servers of it on loopback."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
import uvicorn

from dep.pipeline.personalizer import Personalizer
from dep.serving.app import build_app
from dep.serving.engine import Engine, text_writer
from dep.serving.metrics import Metrics
from dep.serving.service import Service
from dep.serving.settings import ServeConfig
from experiments.serving.world import World, build, loaded

KEY = "a key of the tests"
USERS = 6


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="session")
def personalizer(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Personalizer]:
    p, index = loaded(world, tmp_path_factory.mktemp("store") / "store.sqlite", USERS)
    yield p
    index.close()


@pytest.fixture(scope="session")
def engine(personalizer: Personalizer) -> Iterator[Engine]:
    engine = Engine(personalizer, text_writer(personalizer, 4), waiting=32)
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
def service(engine: Engine) -> Service:
    limits = ServeConfig(max_body_kb=16, max_history=4, max_reviews=8, max_tokens=64)
    return Service(engine, engine.personalizer.store, limits, Metrics(), "dep")  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def start(service: Service) -> Iterator[Callable[[str], str]]:
    """Return a function that serves with a key, or without for an empty one, and returns the address."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def run(key: str) -> str:
        config = uvicorn.Config(build_app(service, key), port=0, log_level="warning", access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        servers.append((server, thread))
        while not server.started:
            time.sleep(0.01)
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    yield run
    for server, thread in servers:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def url(start: Callable[[str], str]) -> str:
    """The address of a server that asks for KEY."""
    return start(KEY)
