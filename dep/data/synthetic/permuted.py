"""Makes a world whose users exchange their traits between training and test, so that a user's past predicts nothing.

    traits of u's reviews before the last  -> those of u
    traits of u's last review              -> those of p(u), where p is a random permutation that moves every user

The last review is the test target (`protocol.split=time`). The map from a user's past to the text of the test target is
thus drawn anew, while the language, the items and their facts stay. A system that knows the world and the user's past
knows nothing about the target's author, so that no system can gain by using the past, and one that trusts it can lose.

The last review must not be left out by the filters, since the review before it would become the target. It is
therefore about the item with the most reviewers among those that the user reviewed, and it has the latest time.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dep.data.synthetic.generator import Person, Turn, World, Written, write
from dep.data.synthetic.truth import truth_of
from dep.types import Review


def permuted(world: World, seed: int) -> World:
    """Return a copy of the world in which each user's last review has the traits of another user.

    Args:
        world: the world, from `make_world`.
        seed: the seed of that world.
    """
    rng = random.Random(f"{world.category}-{seed}-permuted")
    borrowed = dict(zip((p.name for p in world.people), exchanged(rng, world.people), strict=True))
    reviewers = Counter(review.thing.name for review in world.written)
    of_person: dict[str, list[Written]] = {person.name: [] for person in world.people}
    for review in world.written:
        of_person[review.person.name].append(review)
    written, later = [], {}
    for person in world.people:
        own, times = of_person[person.name], [review.time for review in of_person[person.name]]
        known = max(range(len(own)), key=lambda at: (reviewers[own[at].thing.name], at))
        before = [review for at, review in enumerate(own) if at != known]
        turn = Turn(times[-1], replace(borrowed[person.name], name=person.name))
        later[person.name] = turn
        written += [replace(review, time=time) for review, time in zip(before, times[:-1], strict=True)]
        written.append(write(rng, turn.person, own[known].thing, turn.time))
    return replace(world, written=written, later=later)


def exchanged(rng: random.Random, people: list[Person]) -> list[Person]:
    """Draw another user for each user, so that each is drawn once; a single user keeps the own traits."""
    order = rng.sample(range(len(people)), len(people))  # one circle through all users moves every one of them
    next_of = {at: order[(place + 1) % len(order)] for place, at in enumerate(order)}
    return [people[next_of[at]] for at in range(len(people))]


def permuted_targets(folder: Path, reviews: Iterable[tuple[str, Review]]) -> int:
    """Count the reviews that were written with another user's traits.

    Args:
        folder: the world's folder, with `truth_<category>.json`.
        reviews: pairs of category and review.
    """
    truth, count = {}, 0
    for category, review in reviews:
        if category not in truth:
            truth[category] = truth_of(folder, category)["users"]
        count += review.time >= truth[category][review.user]["later"]["since"]
    return count
