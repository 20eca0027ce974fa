"""After a deletion or a replacement nothing in the process or on disk holds the text."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable

import httpx
import torch

from dep.pipeline.personalizer import Personalizer
from dep.serving.service import Service
from dep.store.peer_index import PeerIndex
from experiments.serving.world import World

ITEM = {"id": "item1", "title": "thing 1", "rating": 4}
TITLE = "a title of nobody else"


def post(url: str, user: str, item: str, backwards: str) -> None:
    """Store a review with a secret, which callers hold only backwards."""
    one = {"user": user, "item": item, "item_title": TITLE, "title": backwards[::-1]}
    body = {"reviews": [one | {"text": f"{backwards[::-1]} a fine harp ."}]}
    httpx.post(f"{url}/reviews", json=body).raise_for_status()


def ask(url: str, body: dict[str, object]) -> str:
    answer = httpx.post(f"{url}/v1/chat/completions", json={"item": ITEM, "max_tokens": 4, **body}, timeout=60)
    return answer.raise_for_status().json()["choices"][0]["message"]["content"]


def test_nothing_in_the_process_or_on_disk_holds_a_deleted_or_replaced_text(
    start: Callable[[str], str],
    service: Service,
    personalizer: Personalizer,
    world: World,
    kept: Callable[..., list[str]],
) -> None:
    url, store = start(""), personalizer.store
    assert isinstance(store, PeerIndex)
    first, second = secrets.token_hex(12), secrets.token_hex(12)
    others = "another user wrote this ."
    ask(url, {"history": [{"item": "A harp", "text": others}]})
    before = ask(url, {"user": "user1", "max_tokens": 12})
    post(url, "ann", "item of ann", first)
    ask(url, {"user": "ann"})
    ask(url, {"history": [{"item": "A harp", "text": f"{first[::-1]} a fine harp ."}]})  # which is embedded and kept
    assert {"OrderedDict", "Part"} <= set(kept(first, service))
    post(url, "ann", "item of ann", second)
    assert kept(first, service) == []
    ask(url, {"user": "ann"})
    assert "Part" in kept(second, service)
    vector = store.history("ann")[0].his

    held, deleted = threading.Event(), []
    service.engine.call(held.wait)
    asked = threading.Thread(target=ask, args=(url, {"user": "ann", "max_tokens": 60, "temperature": 2}))
    asked.start()
    while not service.engine.unfinished:
        pass
    delete = threading.Thread(target=lambda: deleted.append(httpx.delete(f"{url}/users/ann", timeout=60).json()))
    delete.start()
    while service.engine._jobs.qsize() < 2:
        pass
    held.set()  # the request is prepared before the deletion, and its prompt is built after it
    delete.join()
    asked.join()
    del asked, delete
    assert deleted == [{"deleted": 1}]
    assert kept(second, service) == []
    assert not any(torch.equal(vector, one) for one in personalizer._requests._memo.values())
    files = [path for at in (store.path.parent, world.run.parents[1]) for path in at.rglob("*") if path.is_file()]
    assert store.path in files
    assert [path for path in files if second[::-1].encode() in path.read_bytes()] == []
    assert others in personalizer._requests._memo
    assert ask(url, {"user": "user1", "max_tokens": 12}) == before
