from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from dep.config.loader import load
from dep.config.schema import ConfigError
from dep.data.protocol import ReviewDataset, apply, prepare
from dep.data.settings import ProtocolConfig
from dep.data.user_split import part_of
from dep.types import Corpus, Example, Item, Review
from dep.utils.errors import DepError

TIME = ProtocolConfig(
    min_text_chars=0, min_description_chars=0, max_description_chars=None, min_user_reviews=5, min_item_reviewers=2,
    min_profile_reviewers=2, min_profile=1, train_targets=2, targets_used=None, val_examples=None,
)  # fmt: skip
USERS = replace(TIME, split="users", val_users=0.3, test_users=0.3)


def _corpus(category: str = "Toys", users: int = 20, items: int = 9) -> Corpus:
    """Everybody reviews everything, in the order of the items."""
    reviews = [
        Review(f"u{u:02d}", f"i{i}", f"{u} writes of {i}", 4.0, "title", 1 + i)
        for u in range(users)
        for i in range(items)
    ]
    return Corpus(category, reviews, {r.item: Item(r.item, f"item {r.item}") for r in reviews})


def _author(dataset: ReviewDataset, example: Example) -> str:
    return dataset.corpora[example.category].reviews[example.row].user


def test_all_targets_of_training_users_train_and_the_last_ones_of_others_are_held_out() -> None:
    dataset = apply({"Toys": _corpus()}, USERS)
    every = {(e.row, e.profile) for e in apply({"Toys": _corpus()}, TIME).examples}
    found: dict[str, list[tuple[str, int]]] = {}
    for example in dataset.examples:
        review = dataset.corpora["Toys"].reviews[example.row]
        found.setdefault(review.user, []).append((example.split, review.time))
        assert (example.row, example.profile) in every, "a target keeps the profile that it has with split=time"
    assert len(found) == 20
    for user, targets in found.items():
        part = part_of(user, USERS)
        times = [6, 7, 8, 9] if part == "train" else [9]
        assert targets == [(part, time) for time in times]
    assert set(Counter(part_of(user, USERS) for user in found)) == {"train", "val", "test"}


def test_more_reviews_of_held_out_users_can_be_asked_for() -> None:
    dataset = apply({"Toys": _corpus()}, replace(USERS, held_out_targets=3))
    times = {
        (e.split, dataset.corpora["Toys"].reviews[e.row].time) for e in dataset.examples if e.split in ("val", "test")
    }
    assert times == {(split, time) for split in ("val", "test") for time in (7, 8, 9)}


def test_the_most_recent_targets_of_training_users_are_used() -> None:
    dataset = apply({"Toys": _corpus()}, replace(USERS, targets_used=1))
    train = [e for e in dataset.examples if e.split == "train"]
    assert [dataset.corpora["Toys"].reviews[e.row].time for e in train] == [9] * len(train)
    assert len({_author(dataset, e) for e in train}) == len(train)


def test_training_sees_no_review_of_a_validation_or_test_user() -> None:
    dataset = apply({"Toys": _corpus(), "Books": _corpus("Books")}, USERS)
    by_part: dict[str, set[str]] = {"train": set(), "val": set(), "test": set()}
    for example in dataset.examples:
        rows = [*example.profile, example.row]
        by_part[example.split] |= {dataset.corpora[example.category].reviews[row].user for row in rows}
    assert not by_part["train"] & (by_part["val"] | by_part["test"])
    assert not by_part["val"] & by_part["test"]
    assert sum(map(len, by_part.values())) == 20, "a person is in the same part in both categories"


def test_a_users_part_depends_on_id_and_seed_alone() -> None:
    ids = [f"user {number}" for number in range(20_000)]
    shares = Counter(part_of(user, replace(USERS, val_users=0.15, test_users=0.25)) for user in ids)
    assert shares["val"] == pytest.approx(3000, abs=150)
    assert shares["test"] == pytest.approx(5000, abs=200)
    moved = sum(part_of(user, USERS) != part_of(user, replace(USERS, seed=1)) for user in ids[:1000])
    assert 500 < moved < 800, "with another seed, two of three users have another part"


@pytest.mark.parametrize(("pool", "left_out"), [("kept", set()), ("history", {9})])
def test_reviews_of_all_users_may_be_peers(pool: str, left_out: set[int]) -> None:
    dataset = apply({"Toys": _corpus()}, replace(USERS, peer_pool=pool))
    for review, peer in zip(dataset.corpora["Toys"].reviews, dataset.pool["Toys"].tolist(), strict=True):
        held_out = part_of(review.user, USERS) != "train" and review.time in left_out
        assert peer is not held_out


def test_shares_mean_nothing_with_a_split_by_time() -> None:
    first = apply({"Toys": _corpus()}, TIME)
    assert apply({"Toys": _corpus()}, replace(TIME, val_users=0.5, held_out_targets=2)).examples == first.examples


def test_a_published_split_can_be_replaced_by_one_of_users() -> None:
    made = apply({"Toys": _corpus()}, TIME)

    class Published:
        kind = "published"

        def load(self) -> dict[str, Corpus]:
            return made.corpora

        def examples(self) -> list[Example]:
            return made.examples

        def fingerprint(self) -> str:
            return ""

    assert prepare(Published(), USERS).examples == apply({"Toys": _corpus()}, USERS).examples


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peer_pool": "test_profile"}, "set protocol.peer_pool=history"),
        ({"val_users": 0.001}, "no val user among 20"),
        ({"held_out_targets": 5}, "at most 4, the number of targets of a user, found 5"),
    ],
)
def test_what_cannot_be_divided_says_why(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DepError, match=message):
        apply({"Toys": _corpus()}, replace(USERS, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["protocol.val_users=0", "protocol.test_users=0.9", "protocol.held_out_targets=0"])
def test_shares_that_leave_a_part_empty_are_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"held_out_targets|test_users"):
        load([], [wrong])
