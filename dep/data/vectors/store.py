"""Vectors on disk: a review's text is embedded once, a change of the difference settings embeds nothing.

    <root>/<category>-<12 of his key>/his.safetensors     his   [N, E]
                                      manifest.json
                                      diff-<12 of diff key>/diff.safetensors   diff [N, E], peers [N]
                                                            manifest.json
                                      parts/<from>-<to>.safetensors   an interrupted run carries on from these

The his key hashes the embedder and the texts in order of rows; the diff key that, the authors, the items, who
counts as a peer, and the settings. A folder is complete when its manifest exists: it is written last. One
process fills a folder at a time, others wait for it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dep.data.embedders.base import Embedder
from dep.data.vectors.difference import differences
from dep.data.vectors.settings import DifferenceConfig
from dep.types import Corpus, Vectors
from dep.utils.atomic_io import write_json
from dep.utils.errors import DepError
from dep.utils.progress import stage

__all__ = ["VectorStore", "Vectors"]

FORMAT = 1
_SHARD = 1024
"""Texts a shard: what an interruption can cost."""
_CHUNK = 128
"""Texts between two moves of the bar."""
_STORED = {torch.float32: "F32", torch.int64: "I64"}
"""What safetensors calls them."""


class VectorStore:
    """Vectors of corpora, from disk where they were computed before.

    Args:
        root: folder of all caches.
        embedder: makes `his`.
        difference: how `diff` is made of it.
    """

    def __init__(self, root: str | Path, embedder: Embedder, difference: DifferenceConfig | None = None) -> None:
        self.root, self.embedder, self.difference = Path(root), embedder, difference or DifferenceConfig()

    def vectors(self, corpus: Corpus, pool_N: Tensor | None = None) -> Vectors:
        """The vectors of a corpus, computed if need be.

        Args:
            corpus: the reviews.
            pool_N: [N] bool, rows that count as a peer's review; None for all.

        Returns:
            One row of each tensor for each review.

        Raises:
            ValueError: what lies in the cache was not written by it, or is damaged.
        """
        pool_N = torch.ones(len(corpus.reviews), dtype=torch.bool) if pool_N is None else pool_N
        his_key = _hash(["his", self.embedder.fingerprint(), *(r.text for r in corpus.reviews)])
        who = (name for r in corpus.reviews for name in (r.user, r.item))
        settings = (f"{name}={value}" for name, value in sorted(asdict(self.difference).items()))
        earlier = self.difference.time == "earlier"
        when = (str(r.time) for r in corpus.reviews) if earlier else ()
        diff_key = _hash(["diff", his_key, *settings, str(pool_N.int().tolist()), *who, *when])
        folder = self.root / f"{corpus.category}-{his_key[:12]}"
        facts = {"category": corpus.category, "embedder": self.embedder.name, "rows": len(corpus.reviews)}

        his = self._embedded(folder, "his", his_key, corpus.category, [r.text for r in corpus.reviews], facts)
        below = folder / f"diff-{diff_key[:12]}"
        if (diff := _load(below, "diff", diff_key)) is None:
            with _lock(below):
                diff = _load(below, "diff", diff_key)
                if diff is None:
                    users, items = [r.user for r in corpus.reviews], [r.item for r in corpus.reviews]
                    times = [r.time for r in corpus.reviews] if earlier else None
                    shapes = {"diff": (torch.float32, [*his["his"].shape]), "peers": (torch.int64, [len(users)])}
                    blank = _blank(below / "diff.tmp", diff_key, shapes)
                    weighting, out = self.difference.weighting, blank["diff"]
                    _, peers_N = differences(his["his"], users, items, weighting, pool_N, times, out)
                    blank["peers"].copy_(peers_N)
                    os.replace(below / "diff.tmp", below / "diff.safetensors")
                    diff = _seal(below, "diff", diff_key, blank, facts | asdict(self.difference))
        return Vectors(his["his"], diff["diff"], diff["peers"])

    def texts(self, category: str, name: str, texts: Sequence[str]) -> Tensor:
        """Vectors of other texts than reviews (items, requests), kept likewise.

        Args:
            category: the corpus that they belong to.
            name: what they are.
            texts: the texts, in order; equal ones are embedded once.

        Returns:
            [len(texts), E].
        """
        key = _hash([name, self.embedder.fingerprint(), *texts])
        folder = self.root / f"{category}-{name}-{key[:12]}"
        facts = {"category": category, "embedder": self.embedder.name, "rows": len(texts)}
        return self._embedded(folder, name, key, f"{category} {name}", texts, facts)[name]

    def _embedded(
        self, folder: Path, name: str, key: str, shown: str, texts: Sequence[str], facts: dict[str, Any]
    ) -> dict[str, Tensor]:
        """The tensor `name` of a folder, embedded if need be; `shown` is what the bar calls it."""
        if (kept := _load(folder, name, key)) is None:
            with _lock(folder):
                kept = _load(folder, name, key)  # another process may have filled it meanwhile
                if kept is None:
                    x_NE = self._embed(shown, texts, folder / "parts", key)
                    kept = _commit(folder, name, key, {name: x_NE}, facts)
                    shutil.rmtree(folder / "parts", ignore_errors=True)
        return kept

    def _embed(self, name: str, wanted: Sequence[str], parts: Path, key: str) -> Tensor:
        """[N, E], each distinct text embedded once; the longest first: too large a batch fails at once."""
        texts = sorted(set(wanted), key=lambda text: (-len(text), text))
        parts.mkdir(parents=True, exist_ok=True)
        done: list[Tensor] = []
        with stage(f"embedding {name}: {len(texts)} texts", sum(map(len, texts)), show=bool(texts)) as advance:
            for first in range(0, len(texts), _SHARD):
                shard = texts[first : first + _SHARD]
                path = parts / f"{first:08d}-{first + len(shard):08d}.safetensors"
                x_SE = _part(path, key, len(shard))
                if x_SE is None:
                    chunks = []
                    for start in range(0, len(shard), _CHUNK):
                        chunk = shard[start : start + _CHUNK]
                        chunks.append(self.embedder.encode(chunk))
                        advance(sum(map(len, chunk)))
                    x_SE = torch.cat(chunks)
                    _replace(path, {"his": x_SE}, {"key": key})
                else:
                    advance(sum(map(len, shard)))
                done.append(x_SE)
        where = {text: at for at, text in enumerate(texts)}
        x_TE = torch.cat(done) if done else torch.zeros(0, self.embedder.dim)
        return x_TE[torch.tensor([where[text] for text in wanted], dtype=torch.int64)]


def _hash(parts: Iterable[str]) -> str:
    total = hashlib.sha256(f"format {FORMAT}".encode())
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        total.update(len(data).to_bytes(8, "little") + data)
    return total.hexdigest()


def _part(path: Path, key: str, count: int) -> Tensor | None:
    """A shard of an interrupted run, or None where there is none that can be trusted."""
    try:
        with safe_open(path, "pt") as file:
            x_SE: Tensor = file.get_tensor("his")
            return x_SE if (file.metadata() or {}).get("key") == key and len(x_SE) == count else None
    except (FileNotFoundError, SafetensorError):
        return None


def _load(folder: Path, name: str, key: str) -> dict[str, Tensor] | None:
    """The tensors of a complete folder, memory-mapped; None where it is not complete."""
    manifest, data = folder / "manifest.json", folder / f"{name}.safetensors"
    way_out = f"Delete {folder} and run again; it is made anew"
    try:
        facts: Any = json.loads(manifest.read_text(encoding="utf-8"))
        found = (facts["key"], facts["bytes"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise DepError(
            f"{manifest}: expected a manifest with key and bytes, found something else ({error}). {way_out}"
        ) from error
    size = data.stat().st_size if data.is_file() else None
    if found != (key, size):
        raise DepError(
            f"{manifest}: expected key {key[:12]}... and {found[1]} bytes of {data.name}, found "
            f"{str(found[0])[:12]}... and {size} bytes: damaged, or made from other reviews or another "
            f"embedder. {way_out}"
        )
    try:
        with safe_open(data, "pt") as file:
            return {tensor: file.get_tensor(tensor) for tensor in file.keys()}  # noqa: SIM118  # not a dict
    except SafetensorError as error:
        raise DepError(f"{data}: {error}. {way_out}") from error


def _commit(folder: Path, name: str, key: str, tensors: dict[str, Tensor], facts: dict[str, Any]) -> dict[str, Tensor]:
    """Write the tensors, then the manifest that makes the folder complete, and map them back in."""
    _replace(folder / f"{name}.safetensors", tensors, {"key": key})
    return _seal(folder, name, key, tensors, facts)


def _seal(folder: Path, name: str, key: str, tensors: dict[str, Tensor], facts: dict[str, Any]) -> dict[str, Tensor]:
    """Write the manifest that makes the folder complete, and map the tensors of its file back in."""
    path = folder / f"{name}.safetensors"
    shapes = {tensor: list(value.shape) for tensor, value in tensors.items()}
    manifest = {"format": FORMAT, "key": key, "bytes": path.stat().st_size, "tensors": shapes} | facts
    write_json(folder / "manifest.json", manifest)
    loaded = _load(folder, name, key)
    assert loaded is not None, "the manifest was just written"
    return loaded


def _replace(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    beside = path.with_suffix(".tmp")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, beside, metadata)
    os.replace(beside, path)


def _blank(path: Path, key: str, shapes: Mapping[str, tuple[torch.dtype, list[int]]]) -> dict[str, Tensor]:
    """A safetensors file of zeros, its tensors mapped into memory: what is written to them is in the file.

    A large category's differences need no memory that way.
    """
    header: dict[str, Any] = {"__metadata__": {"key": key}}
    end = 0
    for name, (dtype, shape) in shapes.items():
        begin, end = end, end + math.prod(shape) * dtype.itemsize
        header[name] = {"dtype": _STORED[dtype], "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    start = 8 + len(text)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(start + end)
    whole = torch.from_file(str(path), shared=True, size=start + end, dtype=torch.uint8)
    parts = {name: header[name]["data_offsets"] for name in shapes}
    return {
        name: whole[start + first : start + last].view(shapes[name][0]).view(shapes[name][1])
        for name, (first, last) in parts.items()
    }


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Only one process at a time fills a folder; the others say whom they wait for."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            Console(stderr=True).print(f"waiting for process {owner}, which is filling {folder}", soft_wrap=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield
