"""Settings of the protocol, that is, of filters and splits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass
class ProtocolConfig:
    """Thresholds of the filters and sizes of the splits; the defaults are those of DPL and DEP."""

    min_text_chars: int = 200
    """Reviews with fewer characters than this are left out."""
    require_rating: bool = True
    """Whether reviews without a rating are left out; off in a category where no review has one."""
    require_title: bool = True
    """Whether reviews without a title are left out; off in a category where no review has one."""
    min_description_chars: int = 100
    """Items whose description has fewer characters than this are left out; 0 keeps items without a description."""
    max_description_chars: int | None = 2000
    """Items whose description has more characters than this are left out; null for no limit."""
    min_user_reviews: int = 18
    """Users with fewer reviews than this are left out."""
    max_user_reviews: int | None = 500
    """Users with more reviews than this are left out; null for no limit."""
    min_item_reviewers: int = 8
    """Items with fewer reviewers than this are left out."""
    min_profile_reviewers: int = 5
    """An item that is in fewer users' profiles than this is removed from all profiles."""
    min_profile: int = 8
    """Users whose profile keeps fewer reviews than this are left out."""
    split: Literal["time", "users"] = "time"
    """What is held out. `time`: each user's last review is a test target, the one before a validation target, and the
    `train_targets` before these are training targets. `users`: whole users; all targets of a training user are training
    targets, and a validation or test user is asked for the last `held_out_targets` reviews."""
    val_users: float = 0.15
    """With `split=users`: the share of users who are validation users. A hash of `seed` and the user's id decides."""
    test_users: float = 0.25
    """With `split=users`: the share of users who are test users."""
    held_out_targets: int = 1
    """With `split=users`: how many of their last reviews validation and test users are asked for; at most
    `train_targets` + 2."""
    train_targets: int = 8
    """How many training targets each user has: the reviews just before the validation target. With `split=users`, a
    training user's last two reviews are training targets too."""
    targets_used: int | None = 1
    """How many of a user's training targets are used, counted from the most recent; null for all."""
    val_examples: int | None = 512
    """How many validation examples are drawn from all categories together; null for all."""
    test_examples: int | None = None
    """How many test examples are drawn from all categories together, for small runs; null for all."""
    peer_pool: Literal["kept", "history", "test_profile", "all"] = "kept"
    """Which reviews count as peers'. `kept`: all reviews of users who pass the filters. `history`: the same without
    validation and test targets. `test_profile`, as in the authors' code: the profile of each test example without its
    last two reviews (the validation target and the newest training target). `all`: also the reviews of users who do not
    pass the filters; `min_item_reviewers` then counts everybody, so that leaving a user out takes no peers from
    others."""
    seed: int = 0
    """Seed for drawing validation and test examples, and for dividing users with `split=users`."""
