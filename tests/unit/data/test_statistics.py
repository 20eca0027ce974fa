from __future__ import annotations

import pytest

from dep.data.statistics import CorpusStatistics, statistics_of
from dep.types import Corpus, Example, Item, Review


def test_statistics_are_those_of_table_4_by_hand() -> None:
    reviews = [Review("u", f"i{n}", "x" * (10 * (n + 1)), 5.0, "t", n) for n in range(4)]
    corpus = Corpus("Books", reviews, {r.item: Item(r.item, "") for r in reviews})
    corpora = {"Books": corpus, "CDs": Corpus("CDs", reviews, corpus.items)}
    examples = [
        Example("Books", "train", 1, (0,)),
        Example("CDs", "train", 3, (0, 1, 2)),
        Example("Books", "test", 3, (0, 1, 2)),
    ]
    found = statistics_of(corpora, examples)
    assert found.corpora[0] == CorpusStatistics("Books", users=1, items=4, reviews=4)
    train, test = found.splits
    assert (train.split, train.category, train.examples) == ("train", "all", 2)
    assert (train.profile_mean, train.profile_sd) == pytest.approx((2, 1))
    assert (train.output_mean, train.output_sd) == pytest.approx((30, 10))
    assert (test.split, test.category, test.examples, test.output_mean, test.output_sd) == (
        "test",
        "Books",
        1,
        40,
        0,
    )
