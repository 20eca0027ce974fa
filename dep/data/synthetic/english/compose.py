"""Writes reviews: stars, text and title, and the points that the text mentions."""

from __future__ import annotations

import random
from dataclasses import dataclass

from dep.data.synthetic.english.authors import Person, Product, spread
from dep.data.synthetic.english.draft import Draft, Pool
from dep.data.synthetic.english.lexicon import Lexicon


@dataclass(frozen=True, slots=True)
class Written:
    """A review with its author and product, and what its text was made of."""

    person: Person
    product: Product
    text: str
    rating: int
    title: str
    time: int
    sayings: tuple[str, ...]
    """Points that the author says of everything, as far as the text mentions them."""
    facts: tuple[str, ...]
    """Points that are facts of the product, as far as the text mentions them."""


class Writer:
    """Writes the reviews of one category."""

    def __init__(self, lexicon: Lexicon) -> None:
        self.pool = Pool(lexicon)

    def write(self, rng: random.Random, person: Person, product: Product, time: int) -> Written:
        """Draw the review of `product` by `person`."""
        rating = min(5, max(1, round(product.quality + person.leniency + spread(rng, 0.5))))
        draft = Draft(self.pool, rng, person, product, rating)
        text = draft.text()
        title = draft.title(text)
        mentioned = {remark.point.name for remark in draft.remarks}
        return Written(
            person, product, text, rating, title, time,
            tuple(name for name in person.sayings if name in mentioned),
            tuple(name for name, _ in product.facts if name in mentioned),
        )  # fmt: skip
