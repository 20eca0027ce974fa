"""Drift: some traits of each user change halfway through their reviews.

    drift d -> round(4 d) of the four sayings change, each to an aspect that the user did not care about;
               tone and article each change with probability d

The world without drift is drawn first. The later half of each user's reviews is then written again with other random
numbers. Users, items, times and the earlier half of the reviews are those of the world without drift.
"""

from __future__ import annotations

import random
from dataclasses import replace

from dep.data.synthetic.generator import SAYINGS, Person, Turn, World, Written, write
from dep.data.synthetic.language import ARTICLES, ASPECT_OF, ASPECTS, TONES


def drifted(world: World, seed: int, drift: float) -> World:
    """Return the world with drifting users.

    Args:
        world: from `make_world`.
        seed: of the world.
        drift: share of a user's traits that change, 0 to 1; 0 returns `world` itself.
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
    """The user's traits after the change: new sayings, tone and article; circle, leniency and length stay."""
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
