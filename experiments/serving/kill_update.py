"""Is the store whole after SIGKILL of `dep update`, and does the same command complete what was begun?"""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import sqlite3
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from dep import cli
from dep.pipeline.store_update import BATCH
from dep.store.peer_index import STORE_FILE, PeerIndex
from dep.utils.atomic_io import write_text
from experiments.serving.process import of_dep
from experiments.serving.world import World
from experiments.store import wrong_sums

_TABLES = (
    "SELECT name, count, sum FROM category",
    "SELECT c.name, i.name, i.count, i.sum FROM item i JOIN category c ON c.id = i.category",
    "SELECT name FROM author",
    "SELECT i.name, a.title, a.description, a.uses FROM about a JOIN item i ON i.id = a.item",
    "SELECT i.name, u.name, r.time, r.rating, r.title, r.text, r.vector FROM review r JOIN item i ON i.id = r.item "
    "JOIN author u ON u.id = r.author",
)


@dataclass
class KilledUpdate:
    """What a killed `dep update` left, and what the same command made of it."""

    reviews: int
    """Reviews in the file; every second one replaces a review of the store."""
    kept: int
    """Those that were in the store after the kill."""
    torn: int
    """Batches of which only a part was in the store."""
    wrong: int
    """Items whose count or sum was not that of their reviews, and failed checks of the file."""
    unequal: int
    """Tables that differ from those of an update that nobody killed, after the same command again."""


def kill_update(world: World, folder: Path, batches: int, count: int = 4 * BATCH) -> KilledUpdate:
    """Kill `dep update` when so many batches are in the store, look at the store, and give the command again."""
    path = world.run / STORE_FILE
    first, second = folder / "first.jsonl", folder / "second.jsonl"
    path.unlink(missing_ok=True)
    _update(world.run)
    with PeerIndex.open(path) as index:
        category = index.categories()[0]
    _write(first, world, category, range(0, count, 2), "first")
    _write(second, world, category, range(count), "second")
    _update(world.run, first)
    shutil.copyfile(path, folder / "before.sqlite")
    command, environment = of_dep("update", str(world.run), str(second))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as process:
        while len(_found(path)) < batches * BATCH and process.poll() is None:
            time.sleep(0.001)
        process.kill()
    found = _found(path)
    torn = int(found != set(range(len(found))) or len(found) % BATCH > 0)
    wrong = _wrong(path)
    _update(world.run, second)
    again = _contents(path)
    shutil.copyfile(folder / "before.sqlite", path)
    _update(world.run, second)
    unequal = sum(one != other for one, other in zip(again, _contents(path), strict=True))
    path.unlink()
    return KilledUpdate(count, len(found), torn, wrong, unequal)


def _update(run: Path, *files: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = cli.main(["update", str(run), *map(str, files)])
    if code:
        raise RuntimeError(f"dep update: {printed.getvalue()}")


def _write(path: Path, world: World, category: str, numbers: range, words: str) -> None:
    rng = random.Random(0)
    rows = [
        {"user": f"writer{n // 16:04}", "item": f"item{n % 16:02}", "item_title": f"thing {n % 16}",
         "category": category, "title": f"note {n}", "text": f"{words} {n} {rng.choice(world.texts)}",
         "rating": 1 + n % 5, "time": 1_700_000_000 + n}
        for n in numbers
    ]  # fmt: skip
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def _found(path: Path) -> set[int]:
    """Return the numbers of the second file's reviews that are in the store."""
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as db:
        return {int(text.split()[1]) for (text,) in db.execute("SELECT text FROM review WHERE text LIKE 'second %'")}


def _wrong(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA integrity_check").fetchone() != ("ok",)) + wrong_sums(db)


def _contents(path: Path) -> list[list[tuple[object, ...]]]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return [sorted(db.execute(sql).fetchall(), key=repr) for sql in _TABLES]
