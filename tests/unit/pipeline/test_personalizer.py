"""What a Personalizer makes of one user's past, against what a run makes of the same reviews."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from dep.config.loader import load_arms
from dep.data.protocol import ReviewDataset
from dep.data.user_history import UserHistoryReader
from dep.data.vectors.peer_means import PeerMeans
from dep.data.vectors.store import VectorStore
from dep.models.backbones.load import DEMO
from dep.pipeline import personalizer
from dep.pipeline.arm import Arm
from dep.pipeline.personalizer import PastReview, Personalizer
from dep.types import Corpus, Example, Item, Review

CONF = Path(__file__).resolve().parents[3] / "conf"


@pytest.fixture
def writer(hashing, monkeypatch: pytest.MonkeyPatch) -> Personalizer:
    _, configs = load_arms([CONF / "synthetic.yaml"], ["arms=[dep_user]"])
    monkeypatch.setattr(personalizer, "build", lambda config, slot: hashing())
    arm = Arm("dep_user", configs["dep_user"], 0, "reviews")
    return Personalizer(None, AutoTokenizer.from_pretrained(DEMO), arm)  # type: ignore[arg-type]


def test_a_personalizer_reads_the_history_that_a_run_reads(writer: Personalizer, hashing, tmp_path: Path) -> None:
    written = [("u", "a", "loud drums"), ("u", "b", "soft harp"), ("u", "c", "bright horn"), ("v", "a", "dull thing")]
    written += [("v", "c", "warm sound"), ("w", "a", "cheap toy"), ("w", "c", "cold sound")]
    reviews = [Review(user, item, text, 2.0, "t", 5) for user, item, text in written]
    corpus = Corpus("Music", reviews, {item: Item(item, f"item {item}", "old") for item in "abc"})
    pool, cache = torch.ones(len(reviews), dtype=torch.bool), VectorStore(tmp_path, hashing())
    example, vectors = Example("Music", "test", 2, (0, 1)), cache.vectors(corpus, pool)
    dataset = ReviewDataset({"Music": corpus}, [example], {"Music": pool})
    peers = {"Music": PeerMeans(corpus, vectors, pool, cache.difference)}
    expected = UserHistoryReader(dataset, cache, {"Music": vectors}, 50, peers)(example)

    past = [
        PastReview("item a", "loud drums", 2.0, "t", "old", 5, ["dull thing", "cheap toy"]),
        PastReview("item b", "soft harp", 2.0, "t", "old", 5),
    ]
    request = writer._request(past, Item("c", "item c", "old"), 2.0, "t", ["warm sound", "cold sound"])
    for name in ("his", "item", "rating", "days", "query", "diff", "peers", "item_peers"):
        assert torch.allclose(getattr(request.user_history, name), getattr(expected, name), atol=1e-6), name
    assert request.user_history.asked_rating == expected.asked_rating == 2.0
    assert request.user_history.item_peer_count == expected.item_peer_count == 2
    prompt = writer._builder.build(request)
    assert prompt.user_tokens == 4
    assert not prompt.vectors


def test_a_user_without_a_past_gets_a_prompt(writer: Personalizer) -> None:
    request = writer._request([], Item("c", "item c"), 2.0, "t")
    assert request.user_history.his.shape == request.user_history.diff.shape == (0, 16)
    assert writer._builder.build(request).user_tokens == 4
