"""Finds looser filters where the given ones leave too few users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, NamedTuple

from dep.data.filters import passing
from dep.data.settings import ProtocolConfig
from dep.types import Corpus

ENOUGH = 20
"""How many users a comparison of systems needs at least."""
_RUNGS: tuple[dict[str, Any], ...] = (
    {"require_rating": False, "require_title": False},
    {"min_description_chars": 0, "max_description_chars": None},
    {"min_text_chars": 100, "peer_pool": "all", "min_item_reviewers": 2, "min_profile_reviewers": 1},
    {"min_user_reviews": 8, "train_targets": 4, "min_profile": 1, "targets_used": None},
    {"min_text_chars": 40, "min_user_reviews": 6, "train_targets": 2},
    {"min_text_chars": 1, "min_user_reviews": 4, "train_targets": 1, "max_user_reviews": None},
)
"""Each rung is applied on top of those before it, and raises no threshold."""


class Loosened(NamedTuple):
    """Filters that leave more users."""

    config: ProtocolConfig
    changes: list[str]
    """The settings that differ from the given ones, as `protocol.min_text_chars=40`."""
    users: int


def loosen(corpora: Mapping[str, Corpus], config: ProtocolConfig) -> Loosened | None:
    """Return the strictest of a few looser filters that leaves enough users, or the one that leaves most.

    Returns:
        None if none leaves more users than `config`.
    """
    best, given, loose = None, users_left(corpora, config), config
    for rung in _RUNGS:
        loose = replace(loose, **{key: _lower(getattr(loose, key), value) for key, value in rung.items()})
        users = users_left(corpora, loose)
        if users > (best.users if best else given):
            best = Loosened(loose, _changes(config, loose), users)
            if users >= ENOUGH:
                break
    return best


def users_left(corpora: Mapping[str, Corpus], config: ProtocolConfig) -> int:
    """Count the users who pass, of all categories; 0 if a category has none, which `prepare` refuses."""
    counts = [len(passing(corpus, config)) for corpus in corpora.values()]
    return sum(counts) if all(counts) else 0


def merged(corpora: Mapping[str, Corpus], category: str) -> dict[str, Corpus]:
    """Join all categories into one."""
    reviews = sorted((r for c in corpora.values() for r in c.reviews), key=lambda r: (r.user, r.time, r.item))
    return {category: Corpus(category, reviews, {k: v for c in corpora.values() for k, v in c.items.items()})}


def _lower(given: Any, value: Any) -> Any:
    """Return the smaller of two thresholds; a new value that is not a threshold, or means no limit, is taken."""
    thresholds = isinstance(given, int) and isinstance(value, int) and not isinstance(value, bool)
    return min(given, value) if thresholds else value


def _changes(config: ProtocolConfig, loose: ProtocolConfig) -> list[str]:
    before, after = asdict(config), asdict(loose)
    words = {True: "true", False: "false", None: "null"}
    changed = {key: value for key, value in after.items() if value != before[key]}
    return [
        f"protocol.{key}={words[value] if isinstance(value, bool | None) else value}" for key, value in changed.items()
    ]
