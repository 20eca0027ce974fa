"""What a user did before a request, as vectors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from dep.data.arm_requests import ArmRequests
from dep.data.prompts.settings import PromptConfig
from dep.data.protocol import ReviewDataset
from dep.data.retrievers import Recency
from dep.data.user_history import UserHistoryReader
from dep.data.vectors.peer_means import PeerMeans
from dep.data.vectors.settings import DifferenceConfig
from dep.data.vectors.shown import ShownDifferences
from dep.data.vectors.store import VectorStore
from dep.types import Corpus, Example, Item, Review, UserHistory, UserHistoryBatch

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


def shared(target: str = "the target") -> ReviewDataset:
    """User u reviewed a, b and c, and is to review d; v and w reviewed some of these, and nobody else b."""
    texts = [("u", "a", "loud drums"), ("u", "b", "soft harp"), ("u", "c", "bright horn"), ("u", "d", target)]
    texts += [("v", "a", "dull thing"), ("v", "d", "warm sound"), ("w", "a", "cheap toy"), ("w", "c", "loud horn")]
    texts += [("w", "d", "cold sound")]
    reviews = [Review(user, item, text, 4.0, "t", at * DAY) for at, (user, item, text) in enumerate(texts)]
    items = {item: Item(item, f"item {item}") for item in "abcd"}
    pool = {"Music": torch.ones(len(reviews), dtype=torch.bool)}
    return ReviewDataset({"Music": Corpus("Music", reviews, items)}, [Example("Music", "test", 3, (0, 1, 2))], pool)


def with_peers(made: ReviewDataset, cache: VectorStore, longest: int = 50) -> UserHistory:
    corpus, pool, difference = made.corpora["Music"], made.pool["Music"], cache.difference
    vectors = cache.vectors(corpus, pool)
    shown = {"Music": ShownDifferences(corpus, vectors, pool)} if difference.depends_on_prompt else None
    peers = {"Music": PeerMeans(corpus, vectors, pool, difference)}
    return UserHistoryReader(made, cache, {"Music": vectors}, longest, peers, shown)(made.examples[0])


def test_a_history_with_peers_holds_differences_and_what_others_wrote_about_the_requested_item(
    hashing, tmp_path
) -> None:
    past = with_peers(shared(), VectorStore(tmp_path, hashing()))
    one = {review.text: hashing().encode([review.text])[0] for review in shared().corpora["Music"].reviews}
    of_a = one["loud drums"] - (one["dull thing"] + one["cheap toy"]) / 2
    assert past.peers.tolist() == [2.0, 0.0, 1.0]
    assert torch.allclose(past.diff, torch.stack([of_a, of_a * 0, one["bright horn"] - one["loud horn"]]), atol=1e-6)
    assert torch.allclose(past.item_peers, (one["warm sound"] + one["cold sound"]) / 2, atol=1e-6)
    assert (past.item_peer_count, past.asked_rating) == (2, 4.0)


@pytest.mark.parametrize("weighting", ["uniform", "profile_distance"])
def test_the_target_review_s_text_changes_no_number_of_a_history(hashing, tmp_path, weighting: str) -> None:
    difference = DifferenceConfig(weighting=weighting)  # type: ignore[arg-type]
    found = [
        with_peers(shared(target), VectorStore(tmp_path / target, hashing(), difference))
        for target in ("one", "another text")
    ]
    for name in ("his", "item", "rating", "days", "query", "diff", "peers", "item_peers"):
        assert torch.equal(*(getattr(past, name) for past in found)), name


def test_a_difference_that_depends_on_what_is_shown_is_computed_from_the_reviews_that_are_read(
    hashing, tmp_path
) -> None:
    cache, made = VectorStore(tmp_path, hashing(), DifferenceConfig(weighting="profile_distance")), shared()
    whole, newest = (with_peers(made, cache, longest) for longest in (3, 1))
    corpus, pool = made.corpora["Music"], made.pool["Music"]
    shown = ShownDifferences(corpus, cache.vectors(corpus, pool), pool)
    found = shown([0, 1, 2], [0, 1, 2])
    assert torch.equal(whole.diff, torch.stack([found[0], torch.zeros(16), found[2]]))
    assert torch.equal(newest.diff[0], shown([2], [2])[2])


def test_a_user_without_a_past_and_without_peers_has_an_empty_history(hashing, tmp_path) -> None:
    made = shared()._replace(examples=[Example("Music", "test", 1, ())])
    past = with_peers(made, VectorStore(tmp_path, hashing()))
    assert past.his.shape == past.diff.shape == past.item.shape == (0, 16)
    assert (past.item_peer_count, float(past.item_peers.abs().sum())) == (0, 0.0)
    assert UserHistoryBatch.of([past, past]).diff.shape == (2, 0, 16)


def test_a_batch_pads_what_others_wrote_and_histories_without_it_hold_zeros(hashing, tmp_path) -> None:
    cache = VectorStore(tmp_path, hashing())
    past, other = (with_peers(shared(), cache, longest) for longest in (3, 1))
    plain = replace(other, diff=None, peers=None, item_peers=None, item_peer_count=0)
    batch = UserHistoryBatch.of([past, other, plain])
    assert torch.equal(batch.diff[1], torch.stack([other.diff[0], *torch.zeros(2, 16)]))
    assert batch.peers.tolist() == [[2.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    assert batch.item_peer_count.tolist() == [2.0, 2.0, 0.0]
    assert float(batch.diff[2].abs().sum() + batch.item_peers[2].abs().sum()) == 0.0


@pytest.mark.parametrize("reads", [True, False])
def test_a_prompt_says_whether_its_history_holds_what_others_wrote(hashing, tmp_path, reads: bool) -> None:
    prompt = PromptConfig(reads_user_history=True, reads_differences=reads)
    data = ArmRequests(shared(), VectorStore(tmp_path, hashing()), Recency(), SimpleNamespace(config=prompt))
    history = data.requests("test")[0].user_history
    assert (history.diff is not None) == (history.item_peers is not None) == reads


def test_a_branch_without_vectors_is_not_standardised(hashing, tmp_path) -> None:
    made = shared()._replace(examples=[Example("Music", "train", 2, (1,))])
    data = ArmRequests(made, VectorStore(tmp_path, hashing()), Recency(), SimpleNamespace(config=PromptConfig()))
    mean, deviation = data.statistics(["diff"])["diff"]
    assert mean.tolist() == [0.0] * 16
    assert deviation.tolist() == [1.0] * 16
