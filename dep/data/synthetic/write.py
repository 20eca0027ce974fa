"""Writes a world to disk: reviews in the schema of Amazon 2023, and files with the users' traits for probes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from dep.data.synthetic.drift import drifted
from dep.data.synthetic.generator import World, make_world
from dep.data.synthetic.language import CATEGORIES
from dep.data.synthetic.permuted import permuted
from dep.data.synthetic.rows import item_row, json_lines, review_row
from dep.utils.atomic_io import write_text
from dep.utils.hashing import text_digest

MANIFEST = "world.json"
_FIXED = ("circle", "leniency", "length")
"""Traits that drift leaves as they are."""


def write_world(folder: Path, seed: int, drift: float = 0.0, permute: bool = False, **size: int) -> dict[str, World]:
    """Write `<Category>.jsonl`, `meta_<Category>.jsonl` and `truth_<Category>.json`, and then the manifest.

    Args:
        folder: the folder to write to. If it already holds a complete world of the same reviews, nothing is written.
        seed: the seed of the world.
        drift: the share of a user's traits that changes halfway; see `drifted`.
        permute: whether users exchange their traits before their last review; see `permuted`.
        size: the sizes that `make_world` takes.

    Returns:
        One world for each category.
    """
    worlds = {category: drifted(make_world(category, seed, **size), seed, drift) for category in CATEGORIES}
    if permute:
        worlds = {category: permuted(world, seed) for category, world in worlds.items()}
    files = {name: text for category, world in worlds.items() for name, text in _files(category, world).items()}
    digest = text_digest("".join(files.values()))
    # Worlds that were written before these options existed stay valid.
    turned = ({"drift": drift} if drift else {}) | ({"permute": True} if permute else {})
    manifest = {
        "seed": seed,
        **size,
        **turned,
        "sha256": digest,
    }  # the hash tells another version of the language apart
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
    """Return the traits of each user and the facts of each item.

    With drift or a permutation, a user also has `later`, which holds the changed traits and the time of the change.
    """
    people: dict[str, dict[str, Any]] = {
        p.name: {
            "sayings": list(p.sayings), "tone": p.tone, "article": p.article, "circle": p.circle,
            "leniency": p.leniency, "length": p.length,
        }
        for p in world.people
    }  # fmt: skip
    for name_of, turn in world.later.items():
        now = turn.person
        people[name_of]["later"] = {
            "since": turn.time, "sayings": list(now.sayings), "tone": now.tone, "article": now.article,
            **{name: getattr(now, name) for name in _FIXED if getattr(now, name) != people[name_of][name]},
        }  # fmt: skip
    return {"users": people, "items": {t.name: {"facts": list(t.facts), "circle": t.circle} for t in world.things}}
