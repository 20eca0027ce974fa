"""Guesses at unusual column names."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dep.data.sources.guess import guess

TEXT = "A text of some length, which nobody would take for a name or a title."


ITEMS = re.compile("item|asin|product|film|business|movie|book|isbn", re.IGNORECASE)


def rows(*names: str, **values: Any) -> list[dict[str, Any]]:
    """Six reviews of two items; a column without `values` holds short values, of which items recur."""

    def short(name: str, n: int) -> str:
        return f"{name}{n % 2 if ITEMS.search(name) else n}"

    return [
        {name: values[name][n % len(values[name])] if name in values else short(name, n) for name in names}
        for n in range(6)
    ]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("user item text rating title time", "user item text rating title time"),
        ("reviewerID asin reviewText overall summary unixReviewTime", "user item text rating title time"),
        ("customer_id product_id review_body star_rating review_headline review_date",
         "user item text rating title time"),
        ("reviews.username asins id reviews.text reviews.rating", "user - - text rating"),
        ("Author Film Review Stars", "user item text rating"),
        ("user_id business_id stars text date", "user item rating text time"),
        ("critic movie_title quote score", "user item text rating"),
        ("index user_name book_id comment created_at helpful", "- user item text time -"),
        ("User-ID ISBN Comments", "user item text"),
    ],
)  # fmt: skip
def test_usual_names_are_recognised(names: str, expected: str) -> None:
    found = guess(rows(*names.split()))
    pairs = zip(expected.split(), names.split(), strict=True)
    columns = {key: column for key, column in found.columns.items() if key != "item_title"}
    assert columns == {key: column for key, column in pairs if key != "-"}
    overrides = [word for word in found.overrides if "item_title" not in word]
    assert overrides == [f"source.columns.{key}={column}" for key, column in columns.items() if key != column]


def test_what_the_user_says_is_not_guessed() -> None:
    found = guess(rows("author", "reviewer", "film", "review"), {"user": "author", "rating": ""})
    assert found.columns == {"user": "author", "item": "film", "text": "review"}
    assert "user" not in found.reasons


def test_the_longest_texts_are_the_reviews_even_in_a_column_called_description() -> None:
    own = {"title": ["x", "y"] * 3, "description": [TEXT] * 6, "points": [88] * 6}
    found = guess(rows("taster_name", "title", "description", "points", **own))
    assert found.columns == {
        "user": "taster_name", "item": "title", "text": "description", "rating": "points", "item_title": "title",
        "title": "",
    }  # fmt: skip
    assert found.settings == {"rating_max": "100"}
    assert "source.columns.title=" in found.overrides, "the source would take it for the reviews' title otherwise"


def test_a_title_that_all_reviews_of_an_item_share_is_the_items() -> None:
    own = {"title": ["X", "Y"] * 3, "summary": list("abcdef")}
    found = guess(rows("user", "item", "title", "text", "summary", **own))
    assert (found.columns["item_title"], found.columns["title"]) == ("title", "summary")
    found = guess(rows("user", "item", "title", "text", **own))
    assert (found.columns["item_title"], found.columns["title"]) == ("title", "")
    assert "source.columns.title=" in found.overrides
    reviews = guess(rows("user", "item", "title", "text", title=list("abcdef")))
    assert "item_title" not in reviews.columns
    assert reviews.columns["title"] == "title"


def test_items_with_names_of_several_words_are_their_own_titles() -> None:
    found = guess(rows("user", "film", "text", film=["The Tower", "A Harp"] * 3))
    assert found.columns["item_title"] == "film"
    assert "item_title" not in guess(rows("user", "film", "text", film=["tt1-a", "tt2-b"] * 3)).columns


@pytest.mark.parametrize(
    ("values", "settings"),
    [
        ({"rating": ["1", "4,5", "", None, 5, 2]}, {}),
        ({"rating": [1, 9, 10, 7, 8, 3]}, {"rating_max": "10"}),
        ({"rating": [1] * 3 + [26] * 3}, {"rating_max": "100"}),
        ({"rating": [1, 9, 10, 7, 8, 26]}, {"rating_max": "10"}),
        ({"rating": [1, 999, 999]}, {}),
        ({"time": [1300000000] * 6}, {}),
        ({"time": [1300000000000] * 6}, {"time_unit_ms": "1"}),
        ({"time": ["2011-01-02"] * 6}, {}),
        ({"text": ["Good.<br>Bad &amp; long."] * 6}, {"strip_html": "true"}),
        ({"text": ["1 < 2 and R&B > B&R"] * 6}, {}),
    ],
)
def test_units_follow_the_values(values: dict[str, list[Any]], settings: dict[str, str]) -> None:
    assert guess(rows("user", "item", "text", *(values.keys() - {"text"}), **values)).settings == settings
