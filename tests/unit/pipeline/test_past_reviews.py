"""Counts of the past reviews that prompts keep."""

from __future__ import annotations

from dep.pipeline.past_reviews import PastReviews


def test_past_reviews_are_counted_and_a_request_without_any_is_warned_of() -> None:
    rows = [{"asked": 8, "kept": 8}, {"asked": 3, "kept": 0}, {"asked": 0, "kept": 0}]
    counts = PastReviews.of(rows)
    assert str(counts) == "past reviews: 11 asked for, 8 kept"
    assert counts.warning("RAG").startswith("RAG: 1 of 2 requests with past reviews keep none")
    assert PastReviews.of(rows[:1]).warning("RAG") == ""
