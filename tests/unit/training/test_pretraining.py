"""Pretraining of the user encoder on reviews of the built-in world."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dep.data.protocol import apply
from dep.data.settings import ProtocolConfig
from dep.data.sources import SyntheticSource
from dep.data.user_history import UserHistoryReader
from dep.data.vectors.store import VectorStore
from dep.models.adapters.user_llm.encoder import UserEncoder
from dep.models.adapters.user_llm.settings import UserEncoderConfig
from dep.training.pretraining import Events, PretrainMetrics, pretrain

WIDTH = 128
BooksData = tuple[dict[str, list[Events]], dict[str, Tensor], tuple[Tensor, Tensor]]


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory, hashing: Any) -> BooksData:
    """Sequences of 160 users in four circles, the catalogue, and the statistics of their reviews' vectors."""
    folder = tmp_path_factory.mktemp("world")
    source = SyntheticSource(
        SyntheticSource.Config(folder=str(folder / "worlds"), seed=7, users=160, circles=4, items_per_circle=20)
    )
    settings = ProtocolConfig(
        min_text_chars=40, min_description_chars=20, min_user_reviews=12, min_item_reviewers=3,
        min_profile_reviewers=1, min_profile=3,
    )  # fmt: skip
    prepared = apply({"Books": source.load()["Books"]}, settings)
    cache = VectorStore(folder / "cache", hashing(dim=WIDTH, common=0.5))
    vectors = {"Books": cache.vectors(prepared.corpora["Books"], prepared.pool["Books"])}
    reader = UserHistoryReader(prepared, cache, vectors, 50)
    sequences = reader.sequences([e for e in prepared.examples if e.split == "train"])
    his_NE = vectors["Books"].his_NE
    return sequences, {"Books": reader.catalogue("Books")}, (his_NE.mean(0), his_NE.std(0))


def metrics_after(books: BooksData, epochs: int) -> PretrainMetrics:
    sequences, catalogues, statistics = books
    torch.manual_seed(0)
    encoder = UserEncoder(UserEncoderConfig(width=64, heads=2), WIDTH, 1, 50, statistics)
    return pretrain(encoder, sequences, catalogues, epochs=epochs, lr=2e-3, seed=0)


def test_a_pretrained_encoder_predicts_the_next_event_better_than_frequency_and_chance(books: BooksData) -> None:
    """Each circle has its own items, and only greetings and company names show the circle; stars follow the user."""
    metrics = metrics_after(books, epochs=30)
    assert metrics.events > 150
    assert metrics.item < min(metrics.item_by_frequency, metrics.item_by_chance) - 0.15
    assert metrics.stars < metrics.stars_by_frequency - 0.03


def test_an_untrained_encoder_predicts_items_no_better_than_chance(books: BooksData) -> None:
    metrics = metrics_after(books, epochs=0)
    assert metrics.item > metrics.item_by_chance - 0.02
    assert metrics.stars > metrics.stars_by_frequency
