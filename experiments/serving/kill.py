"""Is the store whole after SIGKILL? Reviews are posted and texts requested until the server is killed."""

from __future__ import annotations

import itertools
import random
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import torch

from dep.store.peer_index import PeerIndex
from dep.store.reviews import StoredReview
from experiments.serving.process import Server, serving
from experiments.serving.world import World, loaded, name_of, review

_BATCH = 3
"""Reviews in one post."""


@dataclass
class Killed:
    """What a killed server left."""

    acknowledged: int
    """Reviews whose post was answered."""
    stored: int
    """Reviews in the store, without those that were there before."""
    lost: int
    """Acknowledged reviews that are not in the store."""
    torn: int
    """Posts of which only a part is in the store."""
    unequal: int
    """Users whose differences are not those of a store that is built anew from the same reviews."""
    served: bool
    """Whether a server that is started again answers for a user whose reviews were posted."""
    in_flight: int
    """Requests that the second server was writing when it got SIGTERM."""
    answered: int
    """Those of them that it answered."""
    exit_code: int
    """The exit code of the second server."""


def kill(world: World, folder: Path, posts: int, users: int = 8) -> Killed:
    """Kill a server during the post that follows so many answered ones, while it writes texts; look at its store."""
    path = folder / "killed.sqlite"
    path.unlink(missing_ok=True)
    p, index = loaded(world, path, users)
    before = len(index)
    index.close()
    posted: list[tuple[list[StoredReview], bool]] = []
    with serving(world.served, f"store={path}", "threads=1") as server:
        threads = [
            threading.Thread(target=_post, args=(server, world, posted)),
            threading.Thread(target=_ask, args=(server, users)),
        ]
        for thread in threads:
            thread.start()
        while sum(answered for _, answered in posted) < posts and server.process.poll() is None:
            time.sleep(0.001)
        server.process.kill()
        for thread in threads:
            thread.join()
    with p.open_store(path) as after:
        found = [after.find([one.key for one in batch]) for batch, _ in posted]
        stored = len(after) - before
        posters = {one.user for batch, _ in posted for one in batch}
        names = sorted(posters | {name_of(user) for user in range(users)})
        unequal = _unequal(after, names, folder / "anew.sqlite", p.open_store(folder / "anew.sqlite", create=True))
    with serving(world.served, f"store={path}", "threads=1") as again:
        user = posted[0][0][0].user
        served = _chat(again, user).status_code == (200 if all(found[0]) else 404)
        in_flight, answered = _terminate(again)
        exit_code = again.process.wait(timeout=60)
    return Killed(
        acknowledged=sum(_BATCH for _, answered in posted if answered), stored=stored,
        lost=sum(batch.count(None) for batch, (_, answered) in zip(found, posted, strict=True) if answered),
        torn=sum(0 < batch.count(None) < len(batch) for batch in found), unequal=unequal, served=served,
        in_flight=in_flight, answered=answered, exit_code=exit_code,
    )  # fmt: skip


def _post(server: Server, world: World, posted: list[tuple[list[StoredReview], bool]]) -> None:
    """Post reviews of new users until the server is gone, and note which posts were answered."""
    rng = random.Random(1)
    for number in itertools.count():
        batch = [review(world, rng, name_of(1000 + number), item) for item in rng.sample(range(8), _BATCH)]
        names = ("user", "item", "text", "rating", "title", "item_title", "category", "time")
        body = {"reviews": [{name: getattr(one, name) for name in names} for one in batch]}
        posted.append((batch, False))
        try:
            httpx.post(f"{server.url}/reviews", json=body).raise_for_status()
        except httpx.TransportError:
            return
        posted[-1] = batch, True


def _ask(server: Server, users: int) -> None:
    """Request texts until the server is gone."""
    try:
        for number in itertools.count():
            _chat(server, name_of(number % users))
    except httpx.TransportError:
        return


def _chat(server: Server, user: str) -> httpx.Response:
    body = {"user": user, "item": {"title": "thing 1", "id": "item1"}, "max_tokens": 8}
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)


def _terminate(server: Server) -> tuple[int, int]:
    """Send SIGTERM while texts are written; return how many requests were in flight, and how many were answered."""
    answers: list[httpx.Response] = []

    def ask() -> None:
        body = {"history": [], "item": {"title": "thing 1"}, "max_tokens": 400, "temperature": 2.0}
        answers.append(httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    while "dep_unfinished_requests 3" not in httpx.get(f"{server.url}/metrics").text and not answers:
        time.sleep(0.005)
    before = len(answers)
    server.process.terminate()
    for thread in threads:
        thread.join()
    return len(threads) - before, sum(answer.status_code == 200 for answer in answers[before:])


def _unequal(store: PeerIndex, users: list[str], path: Path, anew: PeerIndex) -> int:
    """Count the users whose differences are not, bit for bit, those of a new store of the same reviews."""
    pasts = {user: store.history(user, newest=10_000) for user in users}
    with anew:
        for past in pasts.values():
            if past:
                anew.add([one.review for one in past], torch.stack([one.his for one in past]))
        new = {user: anew.history(user, newest=10_000) for user in users}
    path.unlink()
    return sum(
        [(one.review, one.peers, _bytes(one.diff)) for one in pasts[user]]
        != [(one.review, one.peers, _bytes(one.diff)) for one in new[user]]
        for user in users
    )


def _bytes(diff_E: torch.Tensor | None) -> bytes:
    return b"" if diff_E is None else diff_E.numpy().tobytes()
