from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from dep.commands.probe import part_vectors, probe_all
from dep.config.loader import load
from dep.config.schema import build
from dep.data.embedders import Style
from dep.data.embedders.fitting import fit_once
from dep.evaluation.author_probe import probe, user_rows
from dep.pipeline.leak_check import halves, leak_check
from dep.pipeline.resources import Resources
from dep.types import Corpus, Item, Review, Vectors

CONF = Path(__file__).resolve().parents[3] / "conf"


def _corpus() -> Corpus:
    """400 reviews of 20 items by 30 users, each of whom likes some words."""
    rng = random.Random(0)
    words = [f"word{number}" for number in range(60)]
    reviews = []
    for time in range(1, 401):
        user = rng.randrange(30)
        text = " ".join(rng.choices(words[user : user + 30], k=12))
        reviews.append(Review(f"u{user:02d}", f"i{rng.randrange(20):02d}", text, 4.0, "title", time))
    reviews.sort(key=lambda r: (r.user, r.time, r.item))
    return Corpus("Books", reviews, {r.item: Item(r.item, r.item) for r in reviews})


def test_reviews_to_fit_to_share_neither_users_nor_items_with_probed_ones() -> None:
    corpus = _corpus()
    allowed = range(0, 400, 2)
    probed, fitted = halves(corpus, allowed)
    assert len(probed) > 20
    assert len(fitted) > 40
    assert set(probed) <= set(allowed)
    for name in ("user", "item"):
        a, b = ({getattr(corpus.reviews[row], name) for row in rows} for rows in (probed, fitted))
        assert not a & b


def test_both_embedders_are_probed_on_the_same_reviews_and_the_second_is_fitted_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = _corpus()
    run = load([], ["embedder={kind: style, dim: 6}"])
    embedder = build(run, "embedder")
    fit_once(embedder, tmp_path, "all", lambda: [r.text for r in corpus.reviews])
    given: list[Sequence[str]] = []
    fit = Style.fit
    monkeypatch.setattr(Style, "fit", lambda self, texts: (given.append(texts), fit(self, texts))[1])
    found = leak_check(run, embedder, corpus, torch.ones(len(corpus.reviews), dtype=torch.bool), range(400))
    assert given == [[corpus.reviews[row].text for row in halves(corpus, range(400))[1]]]
    assert [(row.fitted_to, row.row.vectors) for row in found] == [
        (name, kind) for name in ("training population", "other users and items") for kind in ("his", "diff", "both")
    ]
    assert len({row.row.n for row in found}) == 1
    assert {row.texts for row in found} == {0, len(given[0])}
    assert embedder.encode(["text 1"]).shape == (1, 6)


def test_nothing_is_checked_where_nothing_is_fitted(hashing: Any) -> None:
    corpus = _corpus()
    pool_N = torch.ones(len(corpus.reviews), dtype=torch.bool)
    assert leak_check(load([]), hashing(), corpus, pool_N, range(len(corpus.reviews))) == []


def test_the_probe_shows_each_part_of_a_joined_embedder_and_the_whole(tmp_path: Path) -> None:
    small = ["source.users=16", "source.circles=2", "source.items_per_circle=12", f"cache={tmp_path / 'cache'}"]
    parts = "embedder={kind: joined, parts: [{kind: style, dim: 4}, {kind: style, dim: 12}]}"
    run = load([CONF / "synthetic.yaml"], [*small, f"runs={tmp_path / 'runs'}", parts])
    console = Console(record=True, quiet=False, width=200, file=(tmp_path / "log").open("w"))
    resources = Resources(run, console)
    result = probe_all(resources, run)
    assert [row["embedder"] for row in result["parts"][:6]] == ["style:4"] * 3 + ["style:12"] * 3
    assert {row["vectors"] for row in result["author"]} == {"his", "diff", "both"}
    assert {row["embedder"] for row in result["leak_check"]} == {"style:4", "style:12"}
    text = console.export_text()
    assert "style:12 diff" in text
    assert "other users and items" in text
    prepared, cache = resources.prepared(run), resources.cache(run)
    category, corpus = next(iter(prepared.corpora.items()))
    vectors = cache.vectors(corpus, prepared.pool[category])
    (_, first), (_, second) = part_vectors(cache.embedder, vectors)
    assert (first.his_NE.shape[1], second.diff_NE.shape[1]) == (4, 12)
    alone = Vectors(vectors.his_NE[:, :4] * 2**0.5, vectors.diff_NE[:, :4] * 2**0.5, vectors.peers_N)
    expected = probe(corpus, alone, user_rows(prepared.examples, category))
    assert [row["accuracy"] for row in result["parts"][:3]] == pytest.approx([row.accuracy for row in expected])
