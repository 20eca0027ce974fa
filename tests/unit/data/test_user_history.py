"""What a user did before a request, as vectors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from dep.data.protocol import ReviewDataset
from dep.data.user_history import UserHistoryReader
from dep.data.vectors.store import VectorStore
from dep.types import Corpus, Example, Item, Review

DAY = 86_400_000


def prepared() -> ReviewDataset:
    made = {}
    for category in ("Films", "Books"):
        stars = [0.0, float("nan"), 2.0, 3.0, 4.0]
        reviews = [
            Review("u", f"i{at}", f"{category} text {at}", stars[at], f"title {at}", at * DAY) for at in range(5)
        ]
        items = {r.item: Item(r.item, f"{category} {r.item}", "old") for r in reviews}
        made[category] = Corpus(category, reviews, items)
    pool = {category: torch.ones(5, dtype=torch.bool) for category in made}
    return ReviewDataset(made, [Example(c, "test", 4, (0, 1, 2, 3)) for c in made], pool)


def test_the_newest_reviews_come_oldest_first_with_their_items_stars_and_age(hashing, tmp_path: Path) -> None:
    made, embedder = prepared(), hashing()
    cache = VectorStore(tmp_path, embedder)
    vectors = {category: cache.vectors(corpus) for category, corpus in made.corpora.items()}
    past = UserHistoryReader(made, cache, vectors, 3)(made.examples[0])
    again = hashing()
    assert torch.equal(past.his, again.encode([f"Films text {at}" for at in (1, 2, 3)]))
    assert torch.equal(past.item, again.encode([f"Films i{at}. old" for at in (1, 2, 3)]))
    assert torch.equal(past.query, again.encode(["Films i4 old title 4"])[0])
    assert past.rating.tolist() == [3.0, 2.0, 3.0]  # a missing one counts as the middle
    assert past.days.tolist() == [3.0, 2.0, 1.0]
    assert past.category == 1


def test_the_target_s_text_is_in_nothing_that_is_embedded_and_a_second_reader_embeds_nothing(hashing, tmp_path) -> None:
    made, embedder = prepared(), hashing()
    cache = VectorStore(tmp_path, embedder)
    vectors = {category: cache.vectors(corpus) for category, corpus in made.corpora.items()}
    embedder.seen.clear()
    first = UserHistoryReader(made, cache, vectors, 50)(made.examples[1])
    assert not any("text 4" in text for text in embedder.seen)
    seen = len(embedder.seen)
    second = UserHistoryReader(made, cache, vectors, 50)(made.examples[1])
    assert len(embedder.seen) == seen
    assert torch.equal(first.query, second.query)
    assert len(first.his) == 4
    other = replace(made.examples[1], profile=(2,))
    assert len(UserHistoryReader(made, cache, vectors, 50)(other).his) == 1
