"""Checks whether a fitted embedder finds authors only because it was fitted to them.

Half of the users and half of the items, drawn by a hash, are probed. A second embedder with the same settings is fitted
to reviews that the other users wrote about the other items, so that it has seen neither an author nor an item of a
probed review. Both embedders are probed on the same reviews. What the first finds and the second does not comes from
having been fitted to the same people or items, or to more texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from torch import Tensor

from dep.config.schema import RunConfig, build
from dep.data.embedders import Embedder
from dep.data.embedders.fitting import fittable_parts
from dep.data.vectors.store import VectorStore
from dep.evaluation.author_probe import ProbeRow, probe
from dep.types import Corpus
from dep.utils.hashing import seed_from


class LeakRow(NamedTuple):
    """The result of the probe for one kind of vector of one embedder."""

    embedder: str
    fitted_to: str
    """`training population` or `other users and items`."""
    texts: int
    """How many texts the second embedder was fitted to; 0 for the first."""
    row: ProbeRow


def halves(corpus: Corpus, rows: Sequence[int]) -> tuple[list[int], list[int]]:
    """Choose reviews to probe, and reviews to fit to that share neither users nor items with them.

    Args:
        corpus: all reviews.
        rows: the rows of the reviews that may be probed.

    Returns:
        The rows to probe and the rows to fit to.
    """

    def half(kind: str, name: str) -> bool:
        return bool(seed_from(f"leak check {kind} {name}", 1) % 2)

    sides = [(half("user", review.user), half("item", review.item)) for review in corpus.reviews]
    return [row for row in rows if sides[row] == (True, True)], [
        row for row, side in enumerate(sides) if side == (False, False)
    ]


def leak_check(
    run: RunConfig, embedder: Embedder, corpus: Corpus, pool_N: Tensor, rows: Sequence[int]
) -> list[LeakRow]:
    """Probe each fitted part of the run's embedder beside one that was fitted to other users and other items.

    Args:
        run: the configuration that names the embedder.
        embedder: this embedder, fitted.
        corpus: the N reviews.
        pool_N: [N] bool, True for reviews that count as a peer's.
        rows: the rows of the reviews that may be probed.

    Returns:
        For each fitted part six results on the same reviews: his, diff and both, by the run's embedder and by the other
        one. Empty if nothing in the embedder is fitted.

    Raises:
        DepError: too few reviews are left.
    """
    probed, fitted = halves(corpus, rows)
    texts = [corpus.reviews[row].text for row in fitted]
    found = []
    fresh = fittable_parts(build(run, "embedder"))
    for own, other in zip(fittable_parts(embedder), fresh, strict=True):
        other.fit(texts)
        for part, fitted_to, count in ((own, "training population", 0), (other, "other users and items", len(texts))):
            with TemporaryDirectory() as folder:
                vectors = VectorStore(Path(folder), part, run.difference).vectors(corpus, pool_N)
                results = probe(corpus, vectors, probed)
            found += [LeakRow(part.name, fitted_to, count, row) for row in results]
    return found
