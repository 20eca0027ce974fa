from __future__ import annotations

import math
import re

import pytest

from dep.data.retrievers import BM25, RETRIEVERS, Dense, Random, Recency
from dep.types import Corpus, Example, Item, Review

TEXTS = ["a violin sings", "the map was odd", "drums and a violin", "nothing to say", "the map of the harbor"]


@pytest.fixture
def corpus() -> Corpus:
    items = {f"i{n}": Item(f"i{n}", "", "") for n in range(5)} | {"new": Item("new", "The Map", "A violin and a map")}
    reviews = [Review("u", f"i{n}", text, 4.0, "", n) for n, text in enumerate(TEXTS)]
    return Corpus("Books", [*reviews, Review("u", "new", "drums drums drums", 4.0, "harbor", 9)], items)


TARGET = Example("Books", "test", 5, (0, 1, 2, 3, 4))


def test_recency_gives_the_newest_first_and_never_more_than_there_are(corpus: Corpus) -> None:
    recency = Recency()
    assert recency(TARGET, corpus, 2) == [4, 3]
    assert recency(TARGET, corpus, 9) == [4, 3, 2, 1, 0]
    assert recency(TARGET, corpus, 0) == []
    assert set(RETRIEVERS) == {"recency", "random", "bm25", "dense"}


def test_random_draws_the_same_rows_for_an_example_and_others_for_another_seed(corpus: Corpus) -> None:
    drawn = [Random(Random.Config(seed=seed))(TARGET, corpus, 3) for seed in range(8)]
    assert drawn == [Random(Random.Config(seed=seed))(TARGET, corpus, 3) for seed in range(8)]
    assert len({tuple(rows) for rows in drawn}) > 1
    assert all(rows == sorted(rows, reverse=True) and len(set(rows)) == 3 for rows in drawn)


def test_bm25_ranks_as_the_formula_says(corpus: Corpus) -> None:
    """Lucene's BM25, bm25s's default: idf = ln(1 + (N - n + 0.5) / (n + 0.5))."""
    k1, b = 1.5, 0.75
    documents = [re.findall(r"\w+", text) for text in TEXTS]
    mean = sum(map(len, documents)) / len(documents)
    asked = "the map a violin and a map harbor".split()
    scores = []
    for words in documents:
        score = 0.0
        for word in asked:
            n = sum(word in d for d in documents)
            f = words.count(word)
            if f:
                idf = math.log(1 + (len(documents) - n + 0.5) / (n + 0.5))
                score += idf * f / (f + k1 * (1 - b + b * len(words) / mean))
        scores.append(score)
    expected = sorted(range(5), key=lambda row: (-scores[row], -row))
    assert BM25()(TARGET, corpus, 5) == expected
    assert expected[-1] == 3, "the review that shares no word comes last"


def test_no_retriever_reads_the_targets_own_text(corpus: Corpus) -> None:
    blank = Corpus("Books", [*corpus.reviews[:5], Review("u", "new", "?", 4.0, "harbor", 9)], corpus.items)
    for retriever in (BM25(), Dense()):
        assert retriever(TARGET, corpus, 5) == retriever(TARGET, blank, 5)


def test_dense_finds_what_is_meant(corpus: Corpus) -> None:
    dense = Dense()
    assert set(dense(TARGET, corpus, 2)) <= {0, 1, 2, 4}
    assert dense(TARGET, corpus, 5)[-1] == 3
    assert dense(Example("Books", "test", 5, ()), corpus, 3) == []
