"""What a set of raw reviews holds, how filters are loosened, and the sample of the quick probe."""

from __future__ import annotations

from dataclasses import replace

from dep.data.filters import passing
from dep.data.loosen import loosen, merged, users_left
from dep.data.probe_sample import sample
from dep.data.settings import ProtocolConfig
from dep.data.survey import survey
from dep.types import Corpus, Item, Review

NAN = float("nan")


def corpus(*reviews: Review, category: str = "Toys") -> Corpus:
    return Corpus(
        category, list(reviews), {r.item: Item(r.item, "", "about" if r.item == "x" else "") for r in reviews}
    )


def grid(users: int, items: int, text: str = "a text of forty letters or some more than that, {} on {}") -> Corpus:
    return corpus(
        *(Review(f"u{u}", f"i{i}", text.format(u, i), 4.0, "t", i + 1) for u in range(users) for i in range(items))
    )


def test_a_survey_counts_by_hand() -> None:
    day = 86_400_000
    found = survey({
        "Toys": corpus(
            Review("a", "x", "one two", 5.0, "t", day), Review("a", "x", "one  two", 4.4, "", 2 * day),
            Review("b", "x", "three", NAN, "", 3 * day), Review("b", "y", "four words in it", 1.0, "t", 400 * day),
        ),
        "Games": corpus(Review("a", "y", "five", 4.5, "", day), category="Games"),
    })  # fmt: skip
    assert (found.reviews, found.users, found.items, found.rated, found.titled) == (5, 3, 3, 4, 2)
    assert found.stars == {5: 2, 4: 1, 3: 0, 2: 0, 1: 1}
    assert (found.median_characters, found.median_words) == (7, 2)
    assert (found.most_user_reviews, found.most_item_reviewers) == (2, 2)
    assert (found.repeated_items, found.repeated_texts, found.with_peers) == (1, 1, 3)
    assert (found.items_titled, found.items_described) == (0, 1)
    assert (found.first, found.last) == ("1970-01-02", "1971-02-05")
    assert found.categories == {"Toys": 4, "Games": 1}


def test_filters_are_loosened_no_further_than_needed() -> None:
    strict = ProtocolConfig(min_text_chars=50, min_user_reviews=9)
    loosened = loosen({"Toys": grid(25, 6)}, strict)
    assert loosened is not None
    assert loosened.users == 25
    assert {"protocol.min_user_reviews=6", "protocol.min_text_chars=40", "protocol.peer_pool=all"} <= set(
        loosened.changes
    )
    assert users_left({"Toys": grid(25, 6)}, loosened.config) == 25
    assert loosened.config.min_user_reviews == 6, "the last rung is not needed"
    assert loosen({"Toys": grid(25, 6)}, loosened.config) is None, "nobody is left to win"
    assert loosen({"Toys": grid(1, 6)}, strict) is None


def test_a_category_without_users_counts_as_a_failure_until_categories_are_merged() -> None:
    mild = ProtocolConfig(
        min_text_chars=1, min_description_chars=0, min_user_reviews=4, min_item_reviewers=2, min_profile_reviewers=1,
        min_profile=1, train_targets=1,
    )  # fmt: skip
    rows = grid(3, 4).reviews
    two = {"A": corpus(*rows[:-1]), "B": corpus(rows[-1])}
    assert users_left(two, mild) == 0
    whole = merged(two, "All")
    assert users_left(whole, mild) == 3
    assert list(whole) == ["All"]


def test_a_sample_is_bounded_and_takes_peers_of_the_probed_reviews() -> None:
    whole = grid(12, 10)
    loose = ProtocolConfig(
        min_text_chars=1, min_description_chars=0, min_user_reviews=4, min_item_reviewers=2, min_profile_reviewers=1,
        min_profile=1, train_targets=1,
    )  # fmt: skip
    chosen = sample(whole, passing(whole, loose), users=3, each=4, size=20)
    probed = [chosen.corpus.reviews[row] for row in chosen.rows]
    assert len({r.user for r in probed}) == 3
    assert {r.item for r in probed} == {"i6", "i7", "i8", "i9"}, "the newest ones"
    assert len(chosen.rows) == 12
    assert len(chosen.corpus.reviews) == 20
    assert {r.item for r in chosen.corpus.reviews} == {r.item for r in probed}
    alone = replace(whole.reviews[0], item="alone")
    assert not sample(corpus(alone), {"u0": [alone]}).rows, "a review without peers is not probed"
