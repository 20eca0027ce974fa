"""The protocol's filters counted one after another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dep.data.filters import steps
from dep.data.protocol import apply
from dep.data.settings import ProtocolConfig
from dep.types import Corpus, Item, Review
from dep.utils.errors import DepError

LOOSE = ProtocolConfig(
    min_text_chars=10, min_description_chars=5, max_description_chars=None, min_user_reviews=4, max_user_reviews=None,
    min_item_reviewers=2, min_profile_reviewers=1, min_profile=1, train_targets=1, targets_used=None, val_examples=None,
)  # fmt: skip


def grid(users: int = 3, items: int = 5, **fields: object) -> Corpus:
    """Everybody reviews everything."""
    rows = [
        replace(Review(f"u{u}", f"i{i}", f"text {u} on {i}", 4.0, "title", i + 1), **fields)  # type: ignore[arg-type]
        for u in range(users)
        for i in range(items)
    ]
    return Corpus("Toys", rows, {f"i{i}": Item(f"i{i}", f"item {i}", "d" * 9) for i in range(items)})


@pytest.mark.parametrize("pool", ["kept", "all"])
@pytest.mark.parametrize("seed", range(4))
def test_the_last_step_counts_what_the_protocol_keeps(
    random_corpus: Callable[..., Corpus], seed: int, pool: str
) -> None:
    corpus = random_corpus(seed)
    config = replace(LOOSE, peer_pool=pool, min_text_chars=8)
    last = steps(corpus, config)[-1]
    dataset = apply({"Books": corpus}, config)
    asked = {row for e in dataset.examples for row in (*e.profile, e.row)}
    rows = [dataset.corpora["Books"].reviews[row] for row in asked]
    assert (last.reviews, last.users, last.items) == (
        len(rows), len({r.user for r in rows}), len({r.item for r in rows}),
    )  # fmt: skip
    assert last.users > 0


def test_each_filter_has_a_row_with_its_setting_and_what_it_leaves() -> None:
    corpus = grid()
    corpus.reviews[0] = replace(corpus.reviews[0], text="short")
    corpus.reviews[1] = replace(corpus.reviews[1], rating=float("nan"))
    corpus.reviews[2] = replace(corpus.reviews[2], title="")
    corpus.items["i4"] = Item("i4", "", "d" * 9)
    found = [(step.what.partition(",")[0], step.reviews, step.users) for step in steps(corpus, LOOSE)]
    assert found == [
        ("in the source", 15, 3), ("an item with a title", 12, 3), ("a description of 5 characters", 12, 3),
        ("a text of 10 characters", 11, 3), ("a rating", 10, 3), ("a title", 9, 3), ("a time", 9, 3),
        ("users with 4 or more reviews", 8, 2), ("of a user's reviews of one item or with one text", 8, 2),
        ("targets: 1 to train on", 8, 2),
    ]  # fmt: skip
    settings = [setting for step in steps(corpus, LOOSE) for setting in step.settings]
    assert "protocol.min_text_chars=10" in settings
    assert "protocol.max_user_reviews=null" in settings


def test_a_filter_of_a_field_that_no_review_has_is_marked_as_off() -> None:
    found = steps(grid(rating=float("nan")), LOOSE)
    assert [step.what for step in found if step.off] == ["a rating"]


def test_reviews_without_a_rating_or_title_stay_where_the_settings_do_not_ask_for_one() -> None:
    corpus = grid(users=2)
    corpus.reviews[0] = replace(corpus.reviews[0], rating=float("nan"))
    corpus.reviews[6] = replace(corpus.reviews[6], title="")
    config = replace(LOOSE, require_rating=False, require_title=False)
    assert len(apply({"Toys": corpus}, config).corpora["Toys"].reviews) == 10
    assert not any(step.what in ("a rating", "a title") for step in steps(corpus, config))
    with pytest.raises(DepError, match="expected at least one user"):
        apply({"Toys": corpus}, replace(LOOSE, min_user_reviews=5))
