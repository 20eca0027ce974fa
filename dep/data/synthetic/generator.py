"""Draws a world: items with facts, users with traits, and reviews that express these facts and traits.

A user has these traits. Each shows only in part of the reviews, so that one review does not identify its author:
    sayings   four concepts, each of another aspect; a review mentions one to four of them
    tone      how the user begins sentences (3 of 4 sentences)
    article   the user's favourite article (3 of 5 sentences)
    leniency  by how many stars the user's ratings differ from what items deserve
    length    how many sayings a review mentions
    circle    the group whose greeting ends half of the user's reviews, and whose items most of them are about
An item has four facts. Three of four reviewers mention each fact, and the description mentions one of the facts.
A review can mention more facts than sayings. Its text alone then does not show what its author always says, but the
comparison with other reviews of the item does.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from dep.data.synthetic.language import (
    ARTICLES,
    ASPECTS,
    CATEGORIES,
    CIRCLES,
    CONCEPTS,
    ITEM_FIRST,
    ITEM_SECOND,
    TITLES,
    TONES,
    greeting,
    sentence,
)
from dep.utils.errors import DepError

SAYINGS, FACTS = 4, 4
FACT_RATE, HABIT_RATE, TONE_RATE, CIRCLE_RATE, HOME_RATE = 0.75, 0.6, 0.75, 0.5, 0.8
START, DAY = 1_500_000_000_000, 86_400_000


@dataclass(frozen=True)
class Person:
    """A user with all traits."""

    name: str
    circle: str
    sayings: tuple[str, ...]
    tone: str
    article: str
    leniency: float
    length: int


@dataclass(frozen=True)
class Thing:
    """An item with its facts."""

    name: str
    title: str
    description: str
    circle: str
    facts: tuple[str, ...]
    quality: float


@dataclass(frozen=True)
class Written:
    """A review with its author and item; `sayings` and `facts` are the concepts that its text mentions."""

    person: Person
    thing: Thing
    text: str
    rating: int
    title: str
    time: int
    sayings: tuple[str, ...]
    facts: tuple[str, ...]
    greeted: bool


@dataclass(frozen=True)
class Turn:
    """A change of a user's traits: from `time` on, the traits are those of `person`."""

    time: int
    person: Person


@dataclass(frozen=True)
class World:
    """One category of a world: users, items, and reviews in order of time."""

    category: str
    people: list[Person]
    things: list[Thing]
    written: list[Written]
    later: Mapping[str, Turn] = field(default_factory=dict)
    """The change of traits by user name; empty without drift."""


def make_person(rng: random.Random, name: str, circle: str) -> Person:
    """Draw a user's traits."""
    cared = rng.sample(list(ASPECTS), SAYINGS)
    return Person(
        name,
        circle,
        tuple(rng.choice(ASPECTS[aspect].split()) for aspect in cared),
        rng.choice(list(TONES)),
        rng.choice(ARTICLES),
        rng.gauss(0, 0.8),
        rng.choice((2, 2, 3, 3)),
    )


def make_thing(rng: random.Random, name: str, circle: str, noun: str) -> Thing:
    """Draw an item with four facts; its description mentions the first."""
    facts = tuple(rng.sample(CONCEPTS, FACTS))
    return Thing(
        name,
        f"The {rng.choice(ITEM_FIRST)} {rng.choice(ITEM_SECOND)}",
        f"A {noun} known for the {facts[0]}.",
        circle,
        facts,
        rng.uniform(2, 4.6),
    )


def write(rng: random.Random, person: Person, thing: Thing, time: int) -> Written:
    """Draw the review that `person` writes about `thing`."""
    rating = min(5, max(1, round(thing.quality + person.leniency + rng.gauss(0, 0.5))))
    facts = tuple(f for f in thing.facts if rng.random() < FACT_RATE)
    sayings = tuple(rng.sample(person.sayings, min(SAYINGS, max(1, person.length + rng.choice((-1, 0, 0, 0, 1))))))
    tone = person.tone if rng.random() < TONE_RATE else rng.choice(list(TONES))
    parts = []
    voiced = list(dict.fromkeys(facts + sayings))
    for concept in rng.sample(voiced, len(voiced)):
        article = person.article if rng.random() < HABIT_RATE else rng.choice(ARTICLES)
        parts.append(sentence(rng, concept, tone, rating >= 3, article))
    greeted = rng.random() < CIRCLE_RATE
    text = " ".join([*parts, *([greeting(person.circle)] if greeted else [])])
    return Written(person, thing, text, rating, rng.choice(TITLES[rating]), time, sayings, facts, greeted)


def make_world(
    category: str,
    seed: int,
    users: int = 130,
    reviews_per_user: int = 14,
    circles: int = 6,
    items_per_circle: int = 30,
) -> World:
    """Draw one category of a world.

    Args:
        category: one of `CATEGORIES`.
        seed: seed of the world; each category of one seed has its own users and items.
        users: the number of users.
        reviews_per_user: how many reviews each user writes, all about different items.
        circles: the number of circles, among which users and items are divided evenly.
        items_per_circle: how many items belong to a circle; its members mostly review these.
    """
    if reviews_per_user > circles * items_per_circle:
        raise DepError(
            f"reviews_per_user: expected at most {circles * items_per_circle} (circles x items_per_circle), "
            f"found {reviews_per_user}; raise items_per_circle"
        )
    rng = random.Random(f"{category}-{seed}")
    short = category[0]
    names = rng.sample(CIRCLES, circles)
    things = {
        circle: [
            make_thing(rng, f"{short}{seed}-{c}-{i}", circle, CATEGORIES[category]) for i in range(items_per_circle)
        ]
        for c, circle in enumerate(names)
    }
    everything = [thing for shelf in things.values() for thing in shelf]
    people = [make_person(rng, f"{short}{seed}-u{i}", names[i % circles]) for i in range(users)]
    written = []
    for person in people:
        chosen: dict[str, Thing] = {}
        while len(chosen) < reviews_per_user:
            shelf = things[person.circle] if rng.random() < HOME_RATE else everything
            thing = rng.choice(shelf)
            chosen[thing.name] = thing
        days = sorted(rng.sample(range(2000), len(chosen)))
        written += [
            write(rng, person, thing, START + day * DAY) for thing, day in zip(chosen.values(), days, strict=True)
        ]
    return World(category, people, everything, written)
