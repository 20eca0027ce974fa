"""What goes into a store and what comes out of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from dep.utils.errors import DepError

if TYPE_CHECKING:
    from torch import Tensor


class Key(NamedTuple):
    """What names a review in a store; a user has one review of an item."""

    category: str
    user: str
    item: str


@dataclass(frozen=True, slots=True)
class StoredReview:
    """A review with what is known of its item.

    Args:
        category: the category of the item.
        user: the author.
        item: the identifier of the item.
        item_title: the title of the item.
        description: the description of the item.
        text: the text of the review.
        rating: the stars, from 1 to 5; NaN where it is missing.
        title: the title of the review.
        time: the time of the review in milliseconds since 1970.
    """

    category: str
    user: str
    item: str
    item_title: str
    description: str
    text: str
    rating: float
    title: str
    time: int

    @property
    def key(self) -> Key:
        """What names the review in a store."""
        return Key(self.category, self.user, self.item)


@dataclass(frozen=True)
class PastVectors:
    """A review of a user's history with its vectors.

    `his` [E] is the vector of the review, and `diff` [E] its difference from the mean of its peers (Eq. 4); both are
    float32. `diff` is None if there are fewer peers than the store asks for; `peers`, their number, is then 0.
    """

    review: StoredReview
    his: Tensor
    diff: Tensor | None
    peers: int


def check_reviews(reviews: Iterable[StoredReview]) -> None:
    """Check that reviews can be stored.

    Raises:
        DepError: a name holds the character NUL, a text holds half of a surrogate pair, or a time is no 64-bit number.
    """
    for review in reviews:
        names = f"{review.category}{review.user}{review.item}"
        try:
            f"{names}{review.item_title}{review.description}{review.title}{review.text}".encode()
        except UnicodeEncodeError as error:
            raise DepError(f"review {tuple(review.key)!a}", "valid Unicode", str(error), "mend the text") from error
        if "\0" in names:
            raise DepError(f"review {tuple(review.key)!a}", "names without NUL", "one", "rename it")
        if not -(2**63) <= review.time < 2**63:
            raise DepError(f"review {tuple(review.key)!a}: time", "milliseconds since 1970", str(review.time))
