"""Counts what raw reviews hold before any filter: sizes, lengths, ratings, dates, duplicates, peers."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from dep.data.filters import has_rating, has_title
from dep.types import Corpus


@dataclass(frozen=True)
class Survey:
    """Counts over all categories; a user or item of two categories counts twice."""

    categories: dict[str, int]
    """Category -> reviews."""
    reviews: int
    users: int
    items: int
    median_characters: float
    """Of a review's text."""
    median_words: float
    median_user_reviews: float
    most_user_reviews: int
    median_item_reviewers: float
    most_item_reviewers: int
    stars: dict[int, int]
    """Rating, rounded to whole stars, 5 to 1 -> reviews; reviews without a rating are in none."""
    titled: int
    """Reviews with a title."""
    items_titled: int
    """Items with a title."""
    items_described: int
    """Items with a description."""
    first: str
    """Date of the first review, as 2011-01-02."""
    last: str
    repeated_items: int
    """Reviews of an item that their author reviewed before."""
    repeated_texts: int
    """Reviews whose text stands in an earlier one, by whomever."""
    with_peers: int
    """Reviews of items that another user reviewed."""

    @property
    def rated(self) -> int:
        """Reviews with a rating."""
        return sum(self.stars.values())


def survey(corpora: Mapping[str, Corpus]) -> Survey:
    """Count what the reviews hold; there must be at least one review."""
    by_user: Counter[tuple[str, str]] = Counter()
    reviewers: dict[tuple[str, str], set[str]] = defaultdict(set)
    stars: Counter[int] = Counter()
    texts: set[int] = set()
    repeated_items = repeated_texts = titled = 0
    for category, corpus in corpora.items():
        for review in corpus.reviews:
            by_user[category, review.user] += 1
            known = reviewers[category, review.item]
            repeated_items += review.user in known
            known.add(review.user)
            text = hash(" ".join(review.text.split()))
            repeated_texts += text in texts
            texts.add(text)
            titled += has_title(review)
            if has_rating(review):
                stars[int(review.rating + 0.5)] += 1
    reviews = [review for corpus in corpora.values() for review in corpus.reviews]
    items = [item for corpus in corpora.values() for item in corpus.items.values()]
    sizes = [len(known) for known in reviewers.values()]
    times = [review.time for review in reviews]
    return Survey(
        categories={category: len(corpus.reviews) for category, corpus in corpora.items()},
        reviews=len(reviews),
        users=len(by_user),
        items=len(reviewers),
        median_characters=statistics.median(len(review.text) for review in reviews),
        median_words=statistics.median(len(review.text.split()) for review in reviews),
        median_user_reviews=statistics.median(by_user.values()),
        most_user_reviews=max(by_user.values()),
        median_item_reviewers=statistics.median(sizes),
        most_item_reviewers=max(sizes),
        stars={star: stars[star] for star in (5, 4, 3, 2, 1)},
        titled=titled,
        items_titled=sum(bool(item.title) for item in items),
        items_described=sum(bool(item.description) for item in items),
        first=_date(min(times)),
        last=_date(max(times)),
        repeated_items=repeated_items,
        repeated_texts=repeated_texts,
        with_peers=sum(len(reviewers[c, r.item]) > 1 for c, corpus in corpora.items() for r in corpus.reviews),
    )


def _date(milliseconds: int) -> str:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):  # before the year 1
        return "?"
