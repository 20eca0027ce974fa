"""How fast is the server on loopback, and is its memory flat?"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from dep.utils.progress import stage
from experiments.serving.process import Server, serving
from experiments.serving.world import World, loaded, name_of


@dataclass
class Load:
    """What was measured."""

    requests: int
    at_once: int
    seconds: float
    p50: float
    """Seconds to the end of a response, of half of the requests."""
    p95: float
    megabytes: list[float]
    """Resident memory of the server after each tenth of the requests."""

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows of a table."""
        half = len(self.megabytes) // 2
        return [
            ("requests, at once", f"{self.requests:,}, {self.at_once}"),
            ("requests a second", f"{self.requests / self.seconds:.3g}"),
            ("p50, p95", f"{1000 * self.p50:.0f} ms, {1000 * self.p95:.0f} ms"),
            ("memory after a tenth, half, all", ", ".join(
                f"{self.megabytes[at]:.0f}" for at in (0, half - 1, -1)) + " MB"),
        ]  # fmt: skip


def load(world: World, folder: Path, requests: int, at_once: int, tokens: int, users: int = 50) -> Load:
    """Send requests of several users to a server, so many at once."""
    path = folder / "load.sqlite"
    _, index = loaded(world, path, users)
    index.close()
    with serving(world.served, f"store={path}") as server:
        return asyncio.run(_load(server, requests, at_once, tokens, users))


async def _load(server: Server, requests: int, at_once: int, tokens: int, users: int) -> Load:
    seconds: list[float] = []
    memory: list[float] = []
    numbers = iter(range(requests))
    began = time.monotonic()
    with stage("requests", requests, show=requests > 200) as advance:

        async def client() -> None:
            async with httpx.AsyncClient(base_url=server.url, timeout=300) as http:
                for number in numbers:
                    item = {"title": f"thing {number % users}", "rating": 1 + number % 5}
                    body = {"user": name_of(number % users), "item": item, "seed": number, "max_tokens": tokens}
                    start = time.monotonic()
                    (await http.post("/v1/chat/completions", json=body)).raise_for_status()
                    seconds.append(time.monotonic() - start)
                    if len(seconds) % max(1, requests // 10) == 0:
                        memory.append(server.megabytes)
                    advance(1)

        await asyncio.gather(*(client() for _ in range(at_once)))
    ordered = sorted(seconds)
    took = time.monotonic() - began
    return Load(requests, at_once, took, ordered[len(ordered) // 2], ordered[int(0.95 * len(ordered))], memory)
