"""What a Personalizer makes of one user's past, against what a run makes of the same reviews."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from dep.config.loader import load_arms
from dep.data.prompts.builder import PromptBuilder
from dep.data.protocol import ReviewDataset
from dep.data.user_history import UserHistoryReader
from dep.data.vectors.peer_means import PeerMeans
from dep.data.vectors.store import VectorStore
from dep.models.backbones.load import DEMO
from dep.pipeline.arm import Arm
from dep.pipeline.personal.requests import RequestBuilder
from dep.pipeline.personalizer import Ask, PastReview
from dep.types import Corpus, Example, Item, Prompt, Request, Review

CONF = Path(__file__).resolve().parents[3] / "conf"


@pytest.fixture
def arm() -> Arm:
    _, configs = load_arms([CONF / "synthetic.yaml"], ["arms=[dep_user]"])
    return Arm("dep_user", configs["dep_user"], 0, "reviews")


@pytest.fixture
def requests_of(arm: Arm, hashing) -> RequestBuilder:
    return RequestBuilder(arm, None, hashing())


def prompt_of(arm: Arm, request: Request) -> Prompt:
    prompt, soft = arm.configured
    return PromptBuilder(AutoTokenizer.from_pretrained(DEMO), prompt, soft.branches).build(request)


def test_a_personalizer_reads_the_history_that_a_run_reads(
    requests_of: RequestBuilder, arm: Arm, hashing, tmp_path: Path
) -> None:
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
    request = requests_of(Ask(past, "item c", 2.0, "t", "old", peers=["warm sound", "cold sound"]))
    for name in ("his", "item", "rating", "days", "query", "diff", "peers", "item_peers"):
        assert torch.allclose(getattr(request.user_history, name), getattr(expected, name), atol=1e-6), name
    assert request.user_history.asked_rating == expected.asked_rating == 2.0
    assert request.user_history.item_peer_count == expected.item_peer_count == 2
    prompt = prompt_of(arm, request)
    assert prompt.user_tokens == 4
    assert not prompt.vectors


def test_a_user_without_a_past_gets_a_prompt(requests_of: RequestBuilder, arm: Arm) -> None:
    request = requests_of(Ask([], "item c", 2.0, "t"))
    assert request.user_history is not None
    assert request.user_history.his.shape == request.user_history.diff.shape == (0, 16)
    assert prompt_of(arm, request).user_tokens == 4
