"""Filtered corpora and examples on disk as Parquet, so that a large source is read and filtered once.

    <root>/prepared-<12 of key>/<category>.reviews.parquet, <category>.items.parquet, examples.parquet, manifest.json

The key hashes the source's content and the protocol; the manifest is written last.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from dep.data.protocol import ReviewDataset, prepare
from dep.data.settings import ProtocolConfig
from dep.data.sources import Source
from dep.types import Corpus, Example, Item, Review
from dep.utils.atomic_io import write_json
from dep.utils.errors import DepError


def load_dataset(root: Path, source: Source, config: ProtocolConfig) -> tuple[ReviewDataset, Path]:
    """Filtered corpora and examples, from disk where they were made before, and the folder they are in."""
    key = hashlib.sha256(json.dumps([source.fingerprint(), asdict(config)], sort_keys=True).encode()).hexdigest()
    folder = root / f"prepared-{key[:12]}"
    manifest = folder / "manifest.json"
    if manifest.is_file():
        found = json.loads(manifest.read_text(encoding="utf-8"))
        if found.get("key") != key:
            raise DepError(f"{manifest}: made from another source or protocol; delete {folder} and run again")
        try:
            return _read(folder, found["categories"]), folder
        except (OSError, pa.ArrowException) as error:
            raise DepError(f"{folder}: damaged ({error}); delete it and run again") from error
    made = prepare(source, config)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder, made)
    write_json(manifest, {"key": key, "categories": list(made.corpora)})
    return made, folder


def _write(folder: Path, made: ReviewDataset) -> None:
    for category, corpus in made.corpora.items():
        columns = _columns(corpus.reviews, Review)
        columns["peer"] = made.pool[category].tolist()
        _table(folder / f"{category}.reviews.parquet", columns)
        _table(folder / f"{category}.items.parquet", _columns(list(corpus.items.values()), Item))
    _table(folder / "examples.parquet", _columns(made.examples, Example))


def _read(folder: Path, categories: list[str]) -> ReviewDataset:
    corpora, pool = {}, {}
    for category in categories:
        rows = pq.read_table(folder / f"{category}.reviews.parquet").to_pylist()
        pool[category] = torch.tensor([row.pop("peer") for row in rows], dtype=torch.bool)
        items = pq.read_table(folder / f"{category}.items.parquet").to_pylist()
        corpora[category] = Corpus(
            category, [Review(**row) for row in rows], {row["item"]: Item(**row) for row in items}
        )
    examples = pq.read_table(folder / "examples.parquet").to_pylist()
    return ReviewDataset(corpora, [Example(**(row | {"profile": tuple(row["profile"])})) for row in examples], pool)


def _columns(rows: list[Any], kind: Any) -> dict[str, list[Any]]:
    return {f.name: [getattr(row, f.name) for row in rows] for f in fields(kind)}


def _table(path: Path, columns: dict[str, list[Any]]) -> None:
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    pq.write_table(pa.table(columns), beside)
    os.replace(beside, path)
