"""Makes a world with drift, in which some traits of each user change halfway through the user's reviews.

    With drift d, round(4 d) of a user's four sayings change, each to a concept of an aspect that the user did not
    mention before. Tone and article change with probability d each.

The world without drift is drawn first. Then the later half of each user's reviews is written again with other random
numbers. Users, items, times and the earlier half of the reviews stay as they are without drift.
"""

from __future__ import annotations

import random
from dataclasses import replace

from dep.data.synthetic.generator import SAYINGS, Person, Turn, World, Written, write
from dep.data.synthetic.language import ARTICLES, ASPECT_OF, ASPECTS, TONES


def drifted(world: World, seed: int, drift: float) -> World:
    """Return a copy of the world whose users drift.

    Args:
        world: the world without drift, from `make_world`.
        seed: the seed of that world.
        drift: the share of a user's traits that changes, from 0 to 1; 0 returns `world` itself.
    """
    if not drift:
        return world
    rng = random.Random(f"{world.category}-{seed}-drift")
    of_person: dict[str, list[Written]] = {person.name: [] for person in world.people}
    for review in world.written:
        of_person[review.person.name].append(review)
    written, later = [], {}
    for person in world.people:
        own = of_person[person.name]
        half = len(own) // 2
        turn = Turn(own[half].time, changed(rng, person, drift))
        later[person.name] = turn
        written += own[:half]
        written += [write(rng, turn.person, review.thing, review.time) for review in own[half:]]
    return replace(world, written=written, later=later)


def changed(rng: random.Random, person: Person, drift: float) -> Person:
    """Draw the user's traits after the change; circle, leniency and length of reviews stay as they are."""
    fresh = rng.sample([a for a in ASPECTS if a not in {ASPECT_OF[s] for s in person.sayings}], round(SAYINGS * drift))
    sayings = list(person.sayings)
    for place, aspect in zip(rng.sample(range(SAYINGS), len(fresh)), fresh, strict=True):
        sayings[place] = rng.choice(ASPECTS[aspect].split())
    tone, article = person.tone, person.article
    if rng.random() < drift:
        tone = rng.choice([other for other in TONES if other != tone])
    if rng.random() < drift:
        article = rng.choice([other for other in ARTICLES if other != article])
    return replace(person, sayings=tuple(sayings), tone=tone, article=article)
