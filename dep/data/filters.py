"""Decides which reviews, users and items stay: the protocol's filters. `steps` counts what each filter leaves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from dep.data.settings import ProtocolConfig
from dep.types import Corpus, Review

HELD_OUT = 2
"""How many of a user's last reviews are held out: the validation target and the test target."""

Histories = dict[str, list[Review]]
"""The reviews of each user, oldest first."""


class Rule(NamedTuple):
    """A condition on single reviews."""

    what: str
    """What a review needs, in words."""
    setting: str
    """The setting that controls it, as `key=value`; empty if none does."""
    keep: Callable[[Review], bool] | None
    """Whether a review stays; None if the rule is off, since the source lacks the field."""


class Step(NamedTuple):
    """What is left after a filter."""

    what: str
    settings: tuple[str, ...]
    """The settings that control it, as `key=value`."""
    reviews: int
    users: int
    items: int
    off: bool = False
    """Whether the filter is off, since the source lacks the field that it reads."""


def has_rating(review: Review) -> bool:
    """Whether a review has a rating."""
    return review.rating == review.rating


def has_title(review: Review) -> bool:
    """Whether a review has a title."""
    return bool(review.title)


def rules(corpus: Corpus, config: ProtocolConfig) -> list[Rule]:
    """Return the conditions on single reviews and their items, in the order in which `steps` counts them."""
    items, reviews = corpus.items, corpus.reviews
    titles = any(item.title for item in items.values())
    descriptions = any(item.description for item in items.values())
    least, most = config.min_description_chars, config.max_description_chars
    found = [Rule("an item with a title", "", (lambda r: bool(items[r.item].title)) if titles else None)]
    if least:
        long_enough = (lambda r: len(items[r.item].description) >= least) if descriptions else None
        found.append(
            Rule(f"a description of {least:,} characters", f"protocol.min_description_chars={least}", long_enough)
        )
    if most is not None:
        found.append(
            Rule(
                f"a description of at most {most:,} characters", f"protocol.max_description_chars={most}",
                (lambda r: len(items[r.item].description) <= most) if descriptions else None,
            )
        )  # fmt: skip
    shortest = config.min_text_chars
    found.append(
        Rule(
            f"a text of {shortest:,} characters", f"protocol.min_text_chars={shortest}",
            lambda r: len(r.text) >= shortest,
        )
    )  # fmt: skip
    for field, wanted, fact in (
        ("rating", config.require_rating, has_rating),
        ("title", config.require_title, has_title),
    ):
        if wanted:
            keep = fact if any(map(fact, reviews)) else None
            found.append(Rule(f"a {field}", f"protocol.require_{field}=true", keep))
    found.append(Rule("a time", "", lambda r: bool(r.time)))
    return found


def usable(corpus: Corpus, config: ProtocolConfig) -> list[Review]:
    """Apply steps 1 and 2 of the protocol: return the reviews that every rule keeps."""
    checks = [rule.keep for rule in rules(corpus, config) if rule.keep]
    return [review for review in corpus.reviews if all(check(review) for check in checks)]


def core(reviews: list[Review], config: ProtocolConfig) -> tuple[list[Review], set[str]]:
    """Apply step 3: return the reviews that stay and the users who pass."""
    most = config.max_user_reviews
    while True:
        reviewers = reviewers_by_item(reviews)
        sizes = {user: len(_latest(rows)) for user, rows in reviews_by_user(reviews).items()}
        users = {user for user, n in sizes.items() if n >= config.min_user_reviews and (most is None or n <= most)}
        stay = [
            r
            for r in reviews
            if len(reviewers[r.item]) >= config.min_item_reviewers and (r.user in users or config.peer_pool == "all")
        ]
        if len(stay) == len(reviews):
            return stay, users
        reviews = stay


def histories_of(reviews: Iterable[Review]) -> Histories:
    """Apply step 4: join runs of white space, and sort each user's reviews as `_latest` does."""
    return {user: _latest(map(_squeeze, rows)) for user, rows in reviews_by_user(reviews).items()}


def profiles_of(histories: Histories, users: Iterable[str], config: ProtocolConfig) -> Histories:
    """Apply step 6: return the filtered profile of each user who stays."""
    tail = config.train_targets + HELD_OUT
    profiles = {user: histories[user][:-tail] for user in sorted(users) if len(histories[user]) >= tail}
    while True:
        counted = [review for profile in profiles.values() for review in profile]
        if config.peer_pool == "all":
            counted += [r for user, rows in histories.items() if user not in profiles for r in rows]
        reviewers = reviewers_by_item(counted)
        filtered = {
            user: [r for r in profile if len(reviewers[r.item]) >= config.min_profile_reviewers]
            for user, profile in profiles.items()
        }
        filtered = {user: profile for user, profile in filtered.items() if len(profile) >= config.min_profile}
        if len(filtered) == len(profiles):
            return filtered
        profiles = filtered


def passing(corpus: Corpus, config: ProtocolConfig) -> Histories:
    """Return the users who pass all filters, each with the reviews of the profile and the targets, oldest first."""
    reviews, users = core(usable(corpus, config), config)
    return _with_targets(histories_of(reviews), users, config)


def _with_targets(histories: Histories, users: Iterable[str], config: ProtocolConfig) -> Histories:
    tail = config.train_targets + HELD_OUT
    profiles = profiles_of(histories, users, config)
    return {user: [*profile, *histories[user][-tail:]] for user, profile in profiles.items()}


def steps(corpus: Corpus, config: ProtocolConfig) -> list[Step]:
    """Count what each filter leaves of a category: its reviews, and the users and items of these.

    From the counts of users on, only reviews of users who pass are counted; others may still be peers.
    """
    left = corpus.reviews
    found = [_step("in the source", (), left)]
    for rule in rules(corpus, config):
        left = [review for review in left if rule.keep is None or rule.keep(review)]
        found.append(_step(rule.what, (rule.setting,) if rule.setting else (), left, off=rule.keep is None))
    left, users = core(left, config)
    most, fewest = config.max_user_reviews, config.min_user_reviews
    upper = "" if most is None else f" to {most:,}"
    found.append(
        _step(
            f"users with {fewest:,}{upper or ' or more'} reviews, items with {config.min_item_reviewers:,} or more "
            "reviewers (repeated until nothing changes)",
            (f"protocol.min_user_reviews={fewest}", f"protocol.max_user_reviews={'null' if most is None else most}",
             f"protocol.min_item_reviewers={config.min_item_reviewers}"),
            [review for review in left if review.user in users],
        )
    )  # fmt: skip
    histories = histories_of(left)
    own = [review for user in users for review in histories[user]]
    found.append(_step("of a user's reviews of one item or with one text, the latest", (), own))
    whole = _with_targets(histories, users, config)
    found.append(
        _step(
            f"targets: {config.train_targets} to train on, 1 to validate, 1 to test; before them a profile of "
            f"{config.min_profile:,} or more reviews of items in {config.min_profile_reviewers:,} or more profiles",
            (f"protocol.train_targets={config.train_targets}", f"protocol.min_profile={config.min_profile}",
             f"protocol.min_profile_reviewers={config.min_profile_reviewers}"),
            [review for rows in whole.values() for review in rows],
        )
    )  # fmt: skip
    return found


def _step(what: str, settings: tuple[str, ...], reviews: list[Review], off: bool = False) -> Step:
    users, items = {review.user for review in reviews}, {review.item for review in reviews}
    return Step(what, settings, len(reviews), len(users), len(items), off)


def _squeeze(review: Review) -> Review:
    text = " ".join(review.text.split())
    return (
        review
        if text == review.text
        else Review(review.user, review.item, text, review.rating, review.title, review.time)
    )


def _latest(reviews: Iterable[Review]) -> list[Review]:
    """Sort one user's reviews by time, oldest first, and leave out each whose item or text a later review repeats."""
    items: set[str] = set()
    texts: set[str] = set()
    kept = []
    for review in sorted(reviews, key=lambda r: (r.time, r.item), reverse=True):
        if review.item not in items and review.text not in texts:
            items.add(review.item)
            texts.add(review.text)
            kept.append(review)
    return kept[::-1]


def reviews_by_user(reviews: Iterable[Review]) -> Histories:
    """Group reviews by their author, in the given order."""
    by_user: Histories = defaultdict(list)
    for review in reviews:
        by_user[review.user].append(review)
    return by_user


def reviewers_by_item(reviews: Iterable[Review]) -> dict[str, set[str]]:
    """Return the users who reviewed each item."""
    reviewers: dict[str, set[str]] = defaultdict(set)
    for review in reviews:
        reviewers[review.item].add(review.user)
    return reviewers
