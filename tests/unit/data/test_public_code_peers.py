"""Peers as the authors' code chooses and weighs them, and as a prompt of K reviews may see them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dep.data.prompts.requests import Requests
from dep.data.protocol import ReviewDataset, prepare
from dep.data.retrievers.recency import Recency
from dep.data.settings import ProtocolConfig
from dep.data.vectors.difference import differences
from dep.data.vectors.settings import Profile
from dep.data.vectors.shown import ShownDifferences
from dep.types import Corpus, Example, Item, Review, Vectors

ITEMS = ["ABCDEF", "BACGDH", "CBADIE"]
"""Each user's items, oldest first; the last two are the validation and the test target."""
PUBLISHED = {
    "u0": [0.45541, 0.79715, 1.30979, -0.09845],
    "u1": [0.13541, -0.95687, -0.44381, -0.98148],
    "u2": [0.5068, 0.55368, -0.98827, 0.31743],
}
"""The difference of each user's third review, as measured in the authors' code."""


class Published:
    """Three users of six reviews each, split as DPL splits."""

    kind = "published"

    def load(self) -> dict[str, Corpus]:
        reviews = [
            Review(f"u{user}", item, f"text {user} {item}", 5.0, "title", at)
            for user, items in enumerate(ITEMS)
            for at, item in enumerate(items)
        ]
        return {"Books": Corpus("Books", reviews, {item: Item(item, item) for item in "ABCDEFGHI"})}

    def examples(self) -> list[Example]:
        def example(user: int, place: int, split: str) -> Example:
            return Example("Books", split, 6 * user + place, tuple(range(6 * user, 6 * user + place)))  # type: ignore[arg-type]

        places = {"train": 3, "val": 4, "test": 5}
        return [example(user, place, split) for split, place in places.items() for user in range(3)]

    def fingerprint(self) -> str:
        return "published"


@pytest.fixture
def prepared() -> ReviewDataset:
    return prepare(Published(), ProtocolConfig(peer_pool="test_profile"))


@pytest.fixture
def his_NE() -> Tensor:
    torch.manual_seed(1)
    return torch.cat([torch.nn.functional.normalize(torch.randn(6, 4), dim=1) for _ in range(3)])


def vectors_of(prepared: ReviewDataset, his_NE: Tensor, profile: Profile = "pool_and_next") -> Vectors:
    reviews = prepared.corpora["Books"].reviews
    users, items = [review.user for review in reviews], [review.item for review in reviews]
    pool_N = prepared.pool["Books"]
    diff_NE, peers_N = differences(his_NE, users, items, "profile_distance", pool_N, min_reviewers=2, profile=profile)
    return Vectors(his_NE, diff_NE, peers_N)


def test_the_codes_pool_is_each_test_profile_without_its_last_two_rows(prepared: ReviewDataset) -> None:
    assert prepared.pool["Books"].tolist() == [True, True, True, False, False, False] * 3


def test_the_codes_differences_are_those_measured_in_it(prepared: ReviewDataset, his_NE: Tensor) -> None:
    vectors = vectors_of(prepared, his_NE)
    for user, expected in enumerate(PUBLISHED.values()):
        assert vectors.diff_NE[6 * user + 2].tolist() == pytest.approx(expected, abs=1e-5)
    tests = [example for example in prepared.examples if example.split == "test"]
    for slots in (request.slots for request in Requests(tests, prepared.corpora, {"Books": vectors}, Recency(), 8)):
        assert [slot.diff is not None for slot in slots] == [False, False, True, True, True], "rows 4, 3, 2, 1, 0"


def test_a_mean_over_the_pool_alone_gives_other_differences_than_the_code(
    prepared: ReviewDataset, his_NE: Tensor
) -> None:
    """Its vectors have one row more than its reviews (the test target), and it takes two off both."""
    pooled = vectors_of(prepared, his_NE, "pool").diff_NE[2].tolist()
    rows = [0, 1, 2]
    means = [his_NE[[6 * user + row for row in rows]].mean(0) for user in range(3)]
    distance = torch.stack([(means[0] - means[user]).norm() for user in (1, 2)])
    weight = (distance / distance.sum()).softmax(0)
    assert pooled == pytest.approx((his_NE[2] - weight[0] * his_NE[8] - weight[1] * his_NE[12]).tolist(), abs=1e-6)
    assert pooled != pytest.approx(PUBLISHED["u0"], abs=1e-3)


def test_a_review_outside_the_pool_needs_two_reviewers_inside_as_in_the_code() -> None:
    users, items = ["a", "b", "c", "a", "b"], ["x", "x", "x", "y", "y"]
    his_NE = torch.eye(5)
    pool_N = torch.tensor([False, True, True, False, True])
    for least, counts in ((1, [2, 1, 1, 1, 0]), (2, [2, 1, 1, 0, 0]), (3, [0, 0, 0, 0, 0])):
        diff_NE, peers_N = differences(his_NE, users, items, "uniform", pool_N, min_reviewers=least)
        assert peers_N.tolist() == counts
        assert [bool(row.any()) for row in diff_NE] == [count > 0 for count in counts]


def test_distances_of_one_and_three_weigh_peers_as_in_the_code() -> None:
    his_NE = torch.tensor([[0.0], [1.0], [3.0]])
    diff_NE, _ = differences(his_NE, ["a", "b", "c"], ["x", "x", "x"], "profile_distance")
    assert -diff_NE[0, 0].item() == pytest.approx(0.37754 * 1 + 0.62246 * 3, abs=1e-4)


def looped(his: list[list[float]], corpus: Corpus, pool: list[bool], row: int, shown: list[int]) -> list[float]:
    """The difference of a review, one peer at a time, with the author's mean over `shown`."""

    def mean(rows: list[int]) -> list[float]:
        return [math.fsum(his[r][e] for r in rows) / len(rows) for e in range(4)]

    reviews = corpus.reviews
    peers = sorted({r.user for at, r in enumerate(reviews) if pool[at] and r.item == reviews[row].item})
    peers = [user for user in peers if user != reviews[row].user]
    of = {user: [at for at, r in enumerate(reviews) if pool[at] and r.user == user] for user in peers}
    distances = [math.dist(mean(shown), mean(of[user])) for user in peers]
    powers = [math.exp(d / math.fsum(distances)) for d in distances]
    result = list(his[row])
    for user, power in zip(peers, powers, strict=True):
        theirs = mean([at for at in of[user] if reviews[at].item == reviews[row].item])
        result = [x - power / math.fsum(powers) * y for x, y in zip(result, theirs, strict=True)]
    return result


@pytest.mark.parametrize("k", [1, 3, 4, 5])
@pytest.mark.parametrize("pairing", ["own", "with_peers"])
def test_a_prompt_of_k_reviews_weighs_peers_by_the_authors_mean_over_what_it_shows(
    prepared: ReviewDataset, his_NE: Tensor, k: int, pairing: str
) -> None:
    vectors, corpus = vectors_of(prepared, his_NE), prepared.corpora["Books"]
    shown = {"Books": ShownDifferences(corpus, vectors, prepared.pool["Books"])}
    tests = [example for example in prepared.examples if example.split == "test"]
    requests = Requests(tests, prepared.corpora, {"Books": vectors}, Recency(), k, pairing, shown=shown)
    some = 0
    for example, request in zip(tests, requests, strict=True):
        newest_first = list(example.profile[::-1])
        rows = newest_first[:k]
        having = [row for row in newest_first if vectors.peers_N[row] > 0][:k]
        seen = sorted({*rows, *having}) if pairing == "with_peers" else rows
        for slot, row in zip(request.slots, having if pairing == "with_peers" else rows, strict=False):
            if vectors.peers_N[row] == 0:
                assert slot.diff is None
                continue
            some += 1
            expected = looped(his_NE.double().tolist(), corpus, prepared.pool["Books"].tolist(), row, seen)
            assert slot.diff is not None
            assert slot.diff.tolist() == pytest.approx(expected, abs=1e-6)
    assert some or k == 1


def test_withheld_history_moves_a_difference_only_with_the_authors_full_profile(
    prepared: ReviewDataset, his_NE: Tensor
) -> None:
    tests = [example for example in prepared.examples if example.split == "test"][:1]
    corpus = prepared.corpora["Books"]

    def diff(his: Tensor, full: bool) -> Tensor:
        vectors = vectors_of(prepared, his)
        shown = None if full else {"Books": ShownDifferences(corpus, vectors, prepared.pool["Books"])}
        slot = Requests(tests, prepared.corpora, {"Books": vectors}, Recency(), 3, shown=shown)[0].slots[2]
        assert slot.diff is not None
        return slot.diff

    other = his_NE.clone()
    other[0] = -other[0]  # u0's oldest review: not among the newest three, and of an item that the third is not of
    assert torch.equal(diff(his_NE, full=False), diff(other, full=False))
    assert not torch.allclose(diff(his_NE, full=True), diff(other, full=True), atol=1e-4)
