"""Stores filtered corpora and examples as Parquet, so that a large source is read and filtered only once.

    <root>/prepared-<12 digits of the key>/
        <category>.reviews.parquet, <category>.items.parquet, examples.parquet, manifest.json

The key hashes the source's content and the settings of the protocol. The manifest is written last.
"""

from __future__ import annotations

import json
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
from dep.utils.atomic_io import replacing, write_json
from dep.utils.errors import DepError
from dep.utils.hashing import json_digest

_READER = 4
"""Version of the code that reads and filters sources; raise it when that code changes its results."""


def load_dataset(root: Path, source: Source, config: ProtocolConfig) -> tuple[ReviewDataset, Path]:
    """Load filtered corpora and examples from disk; if they are missing, make them from the source and store them.

    Returns:
        The data set and its folder.
    """
    key = json_digest([source.fingerprint(), asdict(config), _READER])
    folder = root / f"prepared-{key[:12]}"
    manifest = folder / "manifest.json"
    if manifest.is_file():
        known = json.loads(manifest.read_text(encoding="utf-8"))
        if known.get("key") != key:
            raise DepError(f"{manifest}: made from another source or protocol; delete {folder} and run again")
        try:
            return _read(folder, known["categories"])._replace(notes=tuple(known.get("notes", ()))), folder
        except (OSError, pa.ArrowException) as error:
            raise DepError(f"{folder}: damaged ({error}); delete it and run again") from error
    dataset = prepare(source, config)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder, dataset)
    write_json(manifest, {"key": key, "categories": list(dataset.corpora), "notes": list(dataset.notes)})
    return dataset, folder


def _write(folder: Path, dataset: ReviewDataset) -> None:
    for category, corpus in dataset.corpora.items():
        columns = _columns(corpus.reviews, Review)
        columns["peer"] = dataset.pool[category].tolist()
        _table(folder / f"{category}.reviews.parquet", columns)
        _table(folder / f"{category}.items.parquet", _columns(list(corpus.items.values()), Item))
    _table(folder / "examples.parquet", _columns(dataset.examples, Example))


def _read(folder: Path, categories: list[str]) -> ReviewDataset:
    corpora, pool = {}, {}
    for category in categories:
        rows = _rows(folder / f"{category}.reviews.parquet")
        pool[category] = torch.tensor([row.pop("peer") for row in rows], dtype=torch.bool)
        items = _rows(folder / f"{category}.items.parquet")
        corpora[category] = Corpus(
            category, [Review(**row) for row in rows], {row["item"]: Item(**row) for row in items}
        )
    examples = _rows(folder / "examples.parquet")
    return ReviewDataset(corpora, [Example(**(row | {"profile": tuple(row["profile"])})) for row in examples], pool)


def _rows(path: Path) -> list[dict[str, Any]]:
    with pq.ParquetFile(path) as file:  # `read_table` would import pandas
        rows: list[dict[str, Any]] = file.read().to_pylist()
    return rows


def _columns(rows: list[Any], kind: Any) -> dict[str, list[Any]]:
    return {f.name: [getattr(row, f.name) for row in rows] for f in fields(kind)}


def _table(path: Path, columns: dict[str, list[Any]]) -> None:
    with replacing(path) as temporary:
        pq.write_table(pa.table(columns), temporary)
