"""What stands in the report of a run."""

from __future__ import annotations

from dep.pipeline.summary import _drawn


def test_the_reviews_side_by_side_are_of_different_users_as_far_as_there_are_any() -> None:
    asked = [("Books", "ann"), ("Music", "ann"), ("Music", "bob"), ("Films", "ann")]
    assert _drawn(asked) == [0, 2, 3]
    assert _drawn(asked) == _drawn(asked)
    assert _drawn([]) == []


def test_no_more_than_three_categories_are_shown() -> None:
    assert len(_drawn([(name, name) for name in "abcde"])) == 3
