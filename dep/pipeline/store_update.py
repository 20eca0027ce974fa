"""Fills the store of a run with the run's reviews, and adds new reviews to it; only new texts are embedded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from dep.config.schema import RunConfig
from dep.data.embedders import Embedder
from dep.data.vectors.settings import DifferenceConfig
from dep.pipeline.resources import Resources
from dep.store.peer_index import PeerIndex
from dep.store.reviews import StoredReview
from dep.store.settings import PeerSettings, StoreConfig
from dep.types import Corpus
from dep.utils.atomic_io import replacing
from dep.utils.locks import file_lock
from dep.utils.progress import stage

_FILL = 8192
"""Reviews in a transaction when a store is created."""
BATCH = 512
"""Reviews in a transaction of an update; an interruption loses at most their vectors."""
_CHUNK = 128
"""Texts in one call of the embedder."""


class Updated(NamedTuple):
    """What an update did."""

    new: int
    changed: int
    unchanged: int
    embedded: int
    """Texts that were embedded."""


def peer_settings(store: StoreConfig, difference: DifferenceConfig) -> PeerSettings:
    """Return the settings of a store whose differences are those of a run.

    In a store every review counts as a peer's, its author's too. `difference.min_reviewers` users are then one peer
    fewer.
    """
    values = asdict(store) | {"min_peers": max(store.min_peers, difference.min_reviewers - 1)}
    return PeerSettings(**values, time=difference.time)


def open_store(path: Path, resources: Resources, config: RunConfig) -> tuple[PeerIndex, bool]:
    """Open a store; if there is none, create it with all reviews of the run.

    Args:
        path: the store's file.
        resources: the run's reviews and vectors.
        config: the configuration whose embedder, differences and store settings are used.

    Returns:
        The store, and whether it was created.

    Raises:
        DepError: the store has vectors of another embedder.
    """
    settings = peer_settings(config.store, config.difference)
    made_by = resources.cache(config).embedder.fingerprint()
    with file_lock(path.with_suffix(".lock")):  # another process may be creating it
        created = not path.is_file()
        if created:
            _create(path, resources, config, settings)
    return PeerIndex.open(path, settings=settings, embedder=made_by), created


def _create(path: Path, resources: Resources, config: RunConfig, settings: PeerSettings) -> None:
    cache, dataset = resources.cache(config), resources.prepared(config)
    his_NE = {name: cache.vectors(corpus, dataset.pool[name]).his_NE for name, corpus in dataset.corpora.items()}
    width, total = next(iter(his_NE.values())).shape[1], sum(map(len, his_NE.values()))
    with (
        replacing(path) as temporary,
        PeerIndex.open(temporary, width, settings, cache.embedder.fingerprint()) as index,
        stage("filling the store", total, show=total > 30_000) as advance,
    ):
        for name, corpus in dataset.corpora.items():
            reviews = stored(corpus)
            for start in range(0, len(reviews), _FILL):
                part = slice(start, start + _FILL)
                index.add(reviews[part], his_NE[name][part])
                advance(len(reviews[part]))


def stored(corpus: Corpus) -> list[StoredReview]:
    """Return the reviews of a corpus with what is known of their items."""
    return [
        StoredReview(
            corpus.category, review.user, review.item, corpus.items[review.item].title,
            corpus.items[review.item].description, review.text, review.rating, review.title, review.time,
        )
        for review in corpus.reviews
    ]  # fmt: skip


def update(index: PeerIndex, reviews: Sequence[StoredReview], embedder: Embedder) -> Updated:
    """Add reviews to a store, or replace those with the same category, user and item.

    A review whose text is in the store keeps its vector. If a review comes without title or description of its item,
    it keeps those that it has in the store.

    Args:
        index: the store.
        reviews: the reviews; of several with one key, the last is taken.
        embedder: makes the vectors of texts that are new.
    """
    reviews = list({review.key: review for review in reviews}.values())
    done = Updated(0, 0, 0, 0)
    waiting = iter(reviews)
    with stage("updating the store", len(reviews), show=len(reviews) > BATCH) as advance:
        while batch := list(islice(waiting, BATCH)):
            done = Updated(*(a + b for a, b in zip(done, _update(index, batch, embedder), strict=True)))
            advance(len(batch))
    return done


def _update(index: PeerIndex, batch: list[StoredReview], embedder: Embedder) -> Updated:
    known = index.find([review.key for review in batch])
    todo: list[StoredReview] = []
    vectors: list[Tensor | None] = []
    changed = 0
    for review, before in zip(batch, known, strict=True):
        if before is None:
            todo.append(review)
            vectors.append(None)
            continue
        old, his_E = before
        title, description = review.item_title or old.item_title, review.description or old.description
        review = replace(review, item_title=title, description=description)
        if not _same(review, old):
            changed += 1
            todo.append(review)
            vectors.append(his_E if review.text == old.text else None)
    texts = [review.text for review, his_E in zip(todo, vectors, strict=True) if his_E is None]
    new = iter(_encoded(embedder, texts))
    if todo:
        index.add(todo, torch.stack([next(new) if his_E is None else his_E for his_E in vectors]))
    return Updated(len(todo) - changed, changed, len(batch) - len(todo), len(texts))


def _encoded(embedder: Embedder, texts: Sequence[str]) -> Iterable[Tensor]:
    for start in range(0, len(texts), _CHUNK):
        yield from embedder.encode(texts[start : start + _CHUNK])


def _same(review: StoredReview, other: StoredReview) -> bool:
    """Whether two reviews are equal, where a missing rating equals a missing one."""
    ratings = (review.rating, other.rating)
    equal = ratings[0] == ratings[1] or all(map(math.isnan, ratings))
    return equal and replace(review, rating=0) == replace(other, rating=0)
