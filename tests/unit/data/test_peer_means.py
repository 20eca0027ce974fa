"""The mean of a review's peers, against loops and against the differences of Eq. 4."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from dep.data.vectors.difference import differences
from dep.data.vectors.peer_means import PeerMeans
from dep.data.vectors.settings import DifferenceConfig
from dep.types import Corpus, Item, Review, Vectors

E = 6


def corpus() -> Corpus:
    """Users a to d review items x, y and z, some twice; nobody but d reviews q."""
    pairs = [*product("abc", "xy"), ("a", "x"), ("d", "x"), ("d", "q"), ("b", "z"), ("c", "z"), ("c", "z")]
    reviews = [Review(user, item, "text", 3.0, "t", 10 + at * 7 % 5) for at, (user, item) in enumerate(pairs)]
    return Corpus("Books", reviews, {review.item: Item(review.item, review.item) for review in reviews})


def means(config: DifferenceConfig, pool: torch.Tensor, his: torch.Tensor) -> tuple[PeerMeans, Vectors]:
    reviews = corpus().reviews
    times = [r.time for r in reviews] if config.time == "earlier" else None
    users, items = [r.user for r in reviews], [r.item for r in reviews]
    diff, peers = differences(his, users, items, config.weighting, pool, times, min_reviewers=config.min_reviewers)
    vectors = Vectors(his, diff, peers)
    return PeerMeans(corpus(), vectors, pool, config), vectors


@pytest.mark.parametrize("config", [
    DifferenceConfig(), DifferenceConfig(time="earlier"), DifferenceConfig(weighting="other_item"),
    DifferenceConfig(min_reviewers=3),
])  # fmt: skip
@pytest.mark.parametrize("everybody", [True, False])
def test_a_review_less_its_difference_is_the_mean_of_its_peers(config: DifferenceConfig, everybody: bool) -> None:
    rows = len(corpus().reviews)
    pool = torch.ones(rows, dtype=torch.bool) if everybody else torch.arange(rows) % 3 > 0
    his = torch.randn(rows, E, generator=torch.Generator().manual_seed(0))
    mean_of, vectors = means(config, pool, his)
    for row in range(rows):
        mean, count = mean_of(row)
        assert count == vectors.peers_N[row]
        expected = his[row] - vectors.diff_NE[row] if count else torch.zeros(E)
        assert torch.allclose(mean, expected, atol=1e-6)
    assert 0 < (vectors.peers_N == 0).sum() < rows


def test_the_mean_is_free_of_everything_that_the_author_wrote() -> None:
    his = torch.randn(len(corpus().reviews), E, generator=torch.Generator().manual_seed(0))
    reviews, pool = corpus().reviews, torch.ones(len(his), dtype=torch.bool)
    for row, review in enumerate(reviews):
        changed = his.clone()
        changed[[at for at, other in enumerate(reviews) if other.user == review.user]] += 5.0
        before, _ = means(DifferenceConfig(), pool, his)[0](row)
        after, _ = means(DifferenceConfig(), pool, changed)[0](row)
        assert torch.equal(before, after)


def test_a_peer_with_two_reviews_counts_once_and_a_review_outside_of_the_pool_not_at_all() -> None:
    his = torch.arange(float(len(corpus().reviews)))[:, None].expand(-1, E).contiguous()
    pool = torch.ones(len(his), dtype=torch.bool)
    reviews = corpus().reviews
    row = next(at for at, r in enumerate(reviews) if (r.user, r.item) == ("b", "x"))
    own = {user: [at for at, r in enumerate(reviews) if (r.user, r.item) == (user, "x")] for user in "acd"}
    assert len(own["a"]) == 2
    expected = sum(sum(rows) / len(rows) for rows in own.values()) / 3
    mean, count = means(DifferenceConfig(), pool, his)[0](row)
    assert (float(mean[0]), count) == (pytest.approx(expected), 3)
    pool[own["d"]] = False
    mean, count = means(DifferenceConfig(), pool, his)[0](row)
    assert (float(mean[0]), count) == (pytest.approx((sum(own["a"]) / 2 + own["c"][0]) / 2), 2)
