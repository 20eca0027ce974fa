"""What is asked of a `Personalizer`: past reviews, the review to write, and how strongly the vectors count."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class PastReview:
    """A review that the user has written.

    Args:
        item: the title of the reviewed item.
        text: the text of the review.
        rating: the stars, from 1 to 5; NaN where they are not known.
        title: the title of the review.
        description: the description of the item.
        time: the time of the review in milliseconds since 1970; only User-LLM and `dep_user` read it.
        peers: the texts that other users wrote about the item, one for each user. Without peers there is no difference.
        vectors: the review's vector and its difference from its peers, both [E] float32, as `dep.PeerIndex` keeps them.
            They are used instead of embedding `text` and `peers`. The difference is None if nobody else reviewed the
            item. None computes both.
        peer_count: the number of peers in the difference of `vectors`; without `vectors`, `peers` are counted.
    """

    item: str
    text: str
    rating: float
    title: str = ""
    description: str = ""
    time: int = 0
    peers: Sequence[str] = ()
    vectors: tuple[Tensor, Tensor | None] | None = field(default=None, compare=False)
    peer_count: int = 0


@dataclass(frozen=True)
class Strength:
    """How strongly a user's vectors count, for each branch.

    A vector v of the branch becomes m + s (v - m), where m is the mean of the vectors that the adapter was trained on
    (zero, if the adapter does not standardise vectors). With s = 1 nothing changes, and larger values exaggerate what
    distinguishes the user. With s = 0 the prompt is that of past reviews without vectors of the branch. At the LLM's
    output (`dep_memory`), s multiplies the share of what is recalled (to at most all) and the word differences.

    Args:
        his: s for the reviews' own vectors.
        diff: s for the differences from peers.
    """

    his: float = 1.0
    diff: float = 1.0


UNCHANGED = Strength()
"""The strength with which the adapter was trained."""


@dataclass(frozen=True)
class Ask:
    """A review to write: the arguments of `Personalizer.generate`.

        >>> past = [PastReview("A harp", "Its strings are lovely.", 5.0, peers=["Its strings are thin."])]
        >>> Ask(past, item="A drum", rating=4.0, title="Loud").strength
        Strength(his=1.0, diff=1.0)

    Args:
        history: the user's past reviews, oldest first; the prompt holds the newest of them. None to look up `user`.
        item: the title of the item; with `user`, the id of an item of the run or of the store will do.
        rating: the stars that the user gives, from 1 to 5; NaN where they are not known.
        title: the title of the review.
        description: the description of the item.
        seed: the seed of the sampling.
        peers: the texts that other users wrote about the item, one for each user; only `dep_user` reads them.
        user: the id of a user of the run, or of `Personalizer.store`; instead of `history`.
        category: the category of the item, if `user` has reviews in several.
        item_id: with `user`, the id of the item in the run or in the store, if `item` is its title.
        strength: how strongly the vectors count.
        max_new_tokens: the largest number of tokens in the text; None for the adapter's setting.
        temperature: the temperature of the sampling, 0 for the most likely tokens; None for the adapter's setting.
        top_p: the probability mass from which tokens are drawn; None for the adapter's setting.
        units: values that units of the adapter's compressor get for all vectors, by the unit's number. 0 takes a unit
            away; values above `Personalizer.latents` exaggerate it.
    """

    history: Sequence[PastReview] | None = None
    item: str = ""
    rating: float = math.nan
    title: str = ""
    description: str = ""
    seed: int = 0
    peers: Sequence[str] = ()
    user: str | None = None
    category: str = ""
    item_id: str = ""
    strength: Strength = UNCHANGED
    max_new_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    units: Mapping[int, float] = field(default_factory=dict)
