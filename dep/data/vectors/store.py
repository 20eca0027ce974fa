"""Stores vectors on disk, so that each text is embedded once, even if the settings of differences change.

Each review has a vector of its own, called `his`, and a difference from its peers' vectors, called `diff`
(`dep.types.Vectors`). Items and requests have vectors too (`VectorStore.texts`, whose argument is a `<name>`).

    <root>/<category>-<key of his>/his.safetensors                       his [N, E], one row for each review
    <root>/<category>-<key of his>/diff-<key of diff>/diff.safetensors   diff [N, E], and the numbers of peers [N]
    <root>/<category>-<name>-<key>/<name>.safetensors                    one row for each of the other texts
    <root>/vectors/<embedder>/<category>/shard-*.safetensors             vectors by the review's text (`text_store`)
    <root>/vectors/<embedder>/<category>-<name>/shard-*.safetensors      vectors by text, for the other texts

A key is a hash, and `<embedder>` is the embedder's fingerprint; names of folders hold the first 12 digits. The key of
`his` hashes the embedder's fingerprint and the texts in the order of rows; the key of other texts hashes their name
too. The key of `diff` hashes the key of `his`, the authors, the items, which reviews count as peers', the settings of
differences and, with `difference.time: earlier`, the times of the reviews. Each of the first three folders also has a
manifest.json; the folder is complete when this file exists. One process at a time fills a folder; others wait.

The last bits of a vector can depend on which texts share its batch. Each category therefore has its own shards: its
vectors do not depend on which categories were embedded before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dep.data.embedders.base import Embedder
from dep.data.vectors.difference import differences
from dep.data.vectors.mapped_folder import FORMAT, folder_lock, load, seal, zeros_file
from dep.data.vectors.settings import DifferenceConfig
from dep.data.vectors.text_store import text_store
from dep.types import Corpus, Vectors
from dep.utils.atomic_io import replacing
from dep.utils.hashing import sequence_digest

__all__ = ["VectorStore", "Vectors"]


class VectorStore:
    """Returns the vectors of corpora; computes only those that are not on disk.

    Args:
        root: the folder of all caches.
        embedder: computes vectors from texts.
        difference: how `diff` is computed from `his`; None for the default settings.
    """

    def __init__(self, root: str | Path, embedder: Embedder, difference: DifferenceConfig | None = None) -> None:
        self.root, self.embedder, self.difference = Path(root), embedder, difference or DifferenceConfig()

    def vectors(self, corpus: Corpus, pool_N: Tensor | None = None) -> Vectors:
        """Return the vectors of a corpus; compute them first if they are not on disk.

        Args:
            corpus: the reviews, N of them.
            pool_N: [N] bool, True for reviews that count as a peer's; None for all.

        Returns:
            Memory-mapped tensors with one row for each review.

        Raises:
            DepError: a file in the cache is damaged, or it was not written by this class.
        """
        pool_N = torch.ones(len(corpus.reviews), dtype=torch.bool) if pool_N is None else pool_N
        texts = [r.text for r in corpus.reviews]
        his_key = _key(["his", self.embedder.fingerprint(), *texts])
        names = (name for r in corpus.reviews for name in (r.user, r.item))
        settings = (f"{name}={value}" for name, value in sorted(asdict(self.difference).items()))
        earlier = self.difference.time == "earlier"
        times = [r.time for r in corpus.reviews] if earlier else None
        diff_key = _key(["diff", his_key, *settings, str(pool_N.int().tolist()), *names, *map(str, times or ())])
        folder = self.root / f"{corpus.category}-{his_key[:12]}"
        facts = {"category": corpus.category, "embedder": self.embedder.name, "rows": len(corpus.reviews)}

        his_NE = self._assembled(folder, "his", his_key, corpus.category, corpus.category, texts, facts)
        below = folder / f"diff-{diff_key[:12]}"
        if (diff := load(below, "diff", diff_key)) is None:
            with folder_lock(below):
                diff = load(below, "diff", diff_key)  # another process may have written it in the meantime
                if diff is None:
                    users, items = [r.user for r in corpus.reviews], [r.item for r in corpus.reviews]
                    shapes = {"diff": (torch.float32, [*his_NE.shape]), "peers": (torch.int64, [len(users)])}
                    with replacing(below / "diff.safetensors") as temporary:
                        zeros = zeros_file(temporary, diff_key, shapes)
                        weighting, out = self.difference.weighting, zeros["diff"]
                        _, peers_N = differences(
                            his_NE, users, items, weighting, pool_N, times, out,
                            self.difference.min_reviewers, self.difference.profile,
                        )  # fmt: skip
                        zeros["peers"].copy_(peers_N)
                    diff = seal(below, "diff", diff_key, zeros, facts | asdict(self.difference))
        return Vectors(his_NE, diff["diff"], diff["peers"])

    def texts(self, category: str, name: str, texts: Sequence[str]) -> Tensor:
        """Return the vectors of texts that are no reviews (items, requests); compute them if they are not on disk.

        Args:
            category: the corpus that the texts belong to.
            name: says what the texts are, such as `items`.
            texts: the texts in order; equal ones are embedded once.

        Returns:
            The vectors [len(texts), E].
        """
        key = _key([name, self.embedder.fingerprint(), *texts])
        folder = self.root / f"{category}-{name}-{key[:12]}"
        facts = {"category": category, "embedder": self.embedder.name, "rows": len(texts)}
        return self._assembled(folder, name, key, f"{category}-{name}", f"{category} {name}", texts, facts)

    def _assembled(
        self, folder: Path, name: str, key: str, group: str, title: str, texts: Sequence[str], facts: dict[str, Any]
    ) -> Tensor:
        """Return the vectors of `texts` [N, E], memory-mapped; missing ones are embedded into the shards of `group`."""
        if (cached := load(folder, name, key)) is None:
            with folder_lock(folder):
                cached = load(folder, name, key)  # another process may have written it in the meantime
                if cached is None:
                    store = text_store(self.root / "vectors", self.embedder, group)
                    store.add(texts, title)
                    with replacing(folder / f"{name}.safetensors") as temporary:
                        shape = [len(texts), store.width()]
                        zeros = zeros_file(temporary, key, {name: (torch.float32, shape)})
                        store.read_into(zeros[name], texts)
                    cached = seal(folder, name, key, zeros, facts)
        return cached[name]


def _key(parts: Iterable[str]) -> str:
    return sequence_digest(parts, salt=f"format {FORMAT}")
