"""Writes a world to disk: files in the schema of Amazon 2023, and files with the planted truth for probes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from dep.data.synthetic.drift import drifted
from dep.data.synthetic.generator import World, make_world
from dep.data.synthetic.language import CATEGORIES
from dep.data.synthetic.rows import item_row, json_lines, review_row
from dep.utils.atomic_io import write_text
from dep.utils.hashing import text_digest

MANIFEST = "world.json"


def write_world(folder: Path, seed: int, drift: float = 0.0, **size: int) -> dict[str, World]:
    """Write `<Category>.jsonl`, `meta_<Category>.jsonl`, `truth_<Category>.json`; the manifest last.

    Args:
        folder: where to; made if need be. A complete world of the same reviews is left as it is.
        seed: names the world.
        drift: share of a user's traits that change halfway; see `drifted`.
        size: as `make_world` takes it.

    Returns:
        The world of each category.
    """
    worlds = {category: drifted(make_world(category, seed, **size), seed, drift) for category in CATEGORIES}
    files = {name: text for category, world in worlds.items() for name, text in _files(category, world).items()}
    digest = text_digest("".join(files.values()))
    turned = {"drift": drift} if drift else {}  # worlds without are complete as they were before there was any
    manifest = {"seed": seed, **size, **turned, "sha256": digest}  # another version of the language is another world
    path = folder / MANIFEST
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) == manifest:
        return worlds
    folder.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    for name, text in files.items():
        write_text(folder / name, text)
    write_text(path, json.dumps(manifest))
    return worlds


def _files(category: str, world: World) -> dict[str, str]:
    ratings = Counter(written.thing.name for written in world.written)
    return {
        f"{category}.jsonl": json_lines(
            review_row(w.person.name, w.thing.name, w.text, w.rating, w.title, w.time) for w in world.written
        ),
        f"meta_{category}.jsonl": json_lines(
            item_row(category, t.name, t.title, t.description, ratings[t.name]) for t in world.things
        ),
        f"truth_{category}.json": json.dumps(truth(world)),
    }


def truth(world: World) -> dict[str, Any]:
    """The planted truth: traits by user (with `later`, the changed traits and the time of change), facts by item."""
    people: dict[str, dict[str, Any]] = {
        p.name: {
            "sayings": list(p.sayings), "tone": p.tone, "article": p.article, "circle": p.circle,
            "leniency": p.leniency, "length": p.length,
        }
        for p in world.people
    }  # fmt: skip
    for name, turn in world.later.items():
        now = turn.person
        people[name]["later"] = {
            "since": turn.time, "sayings": list(now.sayings), "tone": now.tone, "article": now.article,
        }  # fmt: skip
    return {"users": people, "items": {t.name: {"facts": list(t.facts), "circle": t.circle} for t in world.things}}
