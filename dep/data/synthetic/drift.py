"""People who change: halfway through a user's reviews, some of what they keep saying is drawn anew.

    drift d -> round(4 d) of the four sayings, each from an aspect that the user did not care about;
               with chance d another tone, with chance d another article

The world without drift is drawn first, and the later half of each user's reviews is then written again from random
numbers of its own: people, items, times and all that was written before the turn are those of the world without.
"""

from __future__ import annotations

import random
from dataclasses import replace

from dep.data.synthetic.generator import SAYINGS, Person, Turn, World, Written, write
from dep.data.synthetic.language import ARTICLES, ASPECT_OF, ASPECTS, TONES


def drifted(world: World, seed: int, drift: float) -> World:
    """The same world with people who change.

    Args:
        world: as `make_world` drew it.
        seed: the world's.
        drift: how much of a user is drawn anew, between 0 and 1; 0 gives `world` itself.
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
    """What a user becomes: sayings, tone and article; circle, leniency and length stay."""
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
