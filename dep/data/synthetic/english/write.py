"""Writes a world in English to disk: files in the schema of Amazon 2023, and the planted truth for probes."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dep.data.synthetic.english.authors import Person, Product
from dep.data.synthetic.english.world import EnglishWorld
from dep.data.synthetic.rows import item_row, json_lines, review_row
from dep.utils.atomic_io import read_json, replacing, write_json, write_text
from dep.utils.hashing import file_digest, sequence_digest
from dep.utils.progress import stage

MANIFEST = "world.json"
_LONG = 1_000
"""Users from which on writing a category takes more than two seconds."""


def content(here: Path = Path(__file__).parent) -> str:
    """SHA-256 of the phrases and of the code that joins them: another version of either is another world."""
    files = sorted(path.relative_to(here).as_posix() for kind in ("*.py", "*.txt") for path in here.rglob(kind))
    return sequence_digest(f"{name} {file_digest(here / name)}" for name in files)


def write_world(folder: Path, worlds: list[EnglishWorld]) -> None:
    """Write `<Category>.jsonl`, `meta_<Category>.jsonl` and `truth_<Category>.json`; the manifest last.

    Args:
        folder: where to; made if need be. A complete folder of the same worlds is left as it is.
        worlds: the worlds, one for each category.
    """
    manifest = {"worlds": [asdict(world) for world in worlds], "content": content()}
    path = folder / MANIFEST
    if path.is_file() and read_json(path) == manifest:
        return
    folder.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    for world in worlds:
        _write(folder, world)
    write_json(path, manifest)


def _write(folder: Path, world: EnglishWorld) -> None:
    category, products = world.category, world.products()
    ratings: Counter[str] = Counter()
    users: dict[str, dict[str, Any]] = {}
    with (
        replacing(folder / f"{category}.jsonl") as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
        stage(f"writing reviews of {category}", world.users, world.users >= _LONG) as advance,
    ):
        for person, written in world.people():
            users[person.name] = _traits(person)
            ratings.update(w.product.name for w in written)
            file.write(
                json_lines(review_row(person.name, w.product.name, w.text, w.rating, w.title, w.time) for w in written)
            )
            advance(1)
    rows = [item_row(category, p.name, p.title, p.description, ratings[p.name]) for p in products]
    write_text(folder / f"meta_{category}.jsonl", json_lines(rows))
    truth = {"users": users, "items": {product.name: _facts(product) for product in products}}
    write_text(folder / f"truth_{category}.json", json.dumps(truth))


def _traits(person: Person) -> dict[str, Any]:
    return {
        "sayings": list(person.sayings), "aspects": list(person.aspects), "tone": person.tone,
        "leniency": person.leniency, "length": person.length, "punctuation": person.punctuation, "case": person.case,
        "contractions": person.contractions, "emoji": list(person.emoji), "signoff": person.signoff,
        "title": person.title, "typos": person.typos,
    }  # fmt: skip


def _facts(product: Product) -> dict[str, Any]:
    return {"facts": dict(product.facts), "quality": product.quality}
