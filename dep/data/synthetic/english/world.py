"""Draws a world in English, one user after the other, so that any number of users fits into memory."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from dep.data.synthetic.english.authors import Person, Product, make_person, make_product
from dep.data.synthetic.english.compose import Writer, Written
from dep.data.synthetic.english.lexicon import lexicon
from dep.utils.errors import DepError

START, DAY, SPAN = 1_300_000_000_000, 86_400_000, 2_500
"""Milliseconds since 1970 of the first day, length of a day, number of days."""
COPY_RATE, TWICE_RATE = 0.01, 0.006
"""How often an author posts the text of the review before once more, and reviews a product twice."""


@dataclass(frozen=True)
class EnglishWorld:
    """One category of a world.

    Args:
        category: one of the categories of the lexicon.
        seed: names the world.
        users: how many people.
        reviews_per_user: how many products each reviews.
        reviewers_per_item: how many people review a product, on average.
    """

    category: str
    seed: int
    users: int = 130
    reviews_per_user: int = 14
    reviewers_per_item: int = 12

    def products(self) -> list[Product]:
        """All products."""
        count = max(1, round(self.users * self.reviews_per_user / self.reviewers_per_item))
        if count < self.reviews_per_user:
            raise DepError(
                "source.users", f"at least {self.reviewers_per_item} (source.reviewers_per_item)", str(self.users),
                "raise it, or lower source.reviewers_per_item",
            )  # fmt: skip
        words, rng = lexicon(self.category), random.Random(f"{self.category}-{self.seed}-products")
        return [make_product(rng, words, f"{self.category[0]}{self.seed}-{i}") for i in range(count)]

    def people(self) -> Iterator[tuple[Person, list[Written]]]:
        """Each user with their reviews in order of time."""
        words, products = lexicon(self.category), tuple(self.products())
        writer = Writer(words)
        for number in range(self.users):
            rng = random.Random(f"{self.category}-{self.seed}-user-{number}")
            person = make_person(rng, words, f"{self.category[0]}{self.seed}-u{number}")
            yield person, self._reviews(rng, writer, person, products)

    def _reviews(
        self, rng: random.Random, writer: Writer, person: Person, products: tuple[Product, ...]
    ) -> list[Written]:
        chosen: dict[int, None] = {}
        while len(chosen) < self.reviews_per_user:
            chosen[int(len(products) * (0.4 * rng.random() + 0.6) * rng.random())] = None
        times = sorted(int(SPAN * rng.random()) * DAY + int(DAY * rng.random()) for _ in chosen)
        written: list[Written] = []
        for number, time in zip(chosen, times, strict=True):
            product = products[number]
            review = writer.write(rng, person, product, START + time // 1000 * 1000)
            if written and rng.random() < COPY_RATE:
                review = replace(review, text=written[-1].text, title=written[-1].title, rating=written[-1].rating)
            written.append(review)
            if rng.random() < TWICE_RATE:
                later = review.time + int(30 * rng.random()) * DAY + 60_000
                again = replace(review, time=later) if rng.random() < 0.5 else writer.write(rng, person, product, later)
                written.append(again)
        return sorted(written, key=lambda w: w.time)


def reviews(world: EnglishWorld) -> Iterator[Written]:
    """All reviews, user by user."""
    for _, written in world.people():
        yield from written
