"""Settings of the protocol: filters and splits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass
class ProtocolConfig:
    """Thresholds of the filters, in characters, reviews or users; the defaults are DPL's and DEP's."""

    min_text_chars: int = 200
    """Shortest review that counts."""
    require_rating: bool = True
    """Whether reviews without a rating are left out; off in a category where no review has one."""
    require_title: bool = True
    """Whether reviews without a title are left out; off in a category where no review has one."""
    min_description_chars: int = 100
    """Shortest item description; 0 also lets items without one pass."""
    max_description_chars: int | None = 2000
    """Longest item description; null for no limit."""
    min_user_reviews: int = 18
    """Fewest reviews of a user."""
    max_user_reviews: int | None = 500
    """Largest number of reviews of a user; who wrote more is left out altogether; null for no limit."""
    min_item_reviewers: int = 8
    """Fewest reviewers of an item."""
    min_profile_reviewers: int = 5
    """Fewest users who have an item in their profile, for it to stay in any profile."""
    min_profile: int = 8
    """Fewest reviews that a user's profile must keep."""
    train_targets: int = 8
    """Training targets of a user: the reviews just before the validation target."""
    targets_used: int | None = 1
    """How many of them become training examples, the most recent first; null for all."""
    val_examples: int | None = 512
    """Validation examples drawn from all categories together; null for all."""
    test_examples: int | None = None
    """Test examples drawn from all categories together, for small runs; null for all."""
    peer_pool: Literal["kept", "history", "test_profile", "all"] = "kept"
    """Which reviews count as peers': `kept`, all reviews of the users who pass the filters; `history`, the same without
    validation and test targets; `test_profile`, the profile of each test example without its last two reviews, the
    validation target and the newest training target (the authors' code); `all`, also the reviews of users who do not
    pass. With `all`, an item's reviewers are counted over everybody, so that leaving a user out takes no peers from
    others."""
    seed: int = 0
    """Seed of the draws of examples."""
