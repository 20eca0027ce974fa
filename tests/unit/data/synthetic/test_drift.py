"""People who change: what is drawn anew, what stays, and what the truth files say of it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from dep.data.sources import SyntheticSource
from dep.data.synthetic.drift import changed, drifted
from dep.data.synthetic.generator import World, make_person, make_world
from dep.data.synthetic.language import ASPECT_OF
from dep.data.synthetic.trait_probe import traits


@pytest.fixture(scope="module")
def world() -> World:
    return make_world("Books", 5)


@pytest.fixture(scope="module")
def turned(world: World) -> World:
    return drifted(world, 5, 0.5)


def test_without_drift_a_world_is_byte_for_byte_what_it_was_before_there_was_any(tmp_path: Path) -> None:
    source = SyntheticSource(SyntheticSource.Config(folder=str(tmp_path), seed=2, users=12))
    assert source.path.name == "seed2-632cc2cd"
    assert source.fingerprint() == "b5ee7bed64ed70386a96ef9a60acb9cf974ed77bee59fa6a526ac8d4515d5604"
    manifest = json.loads((source.path / "world.json").read_text())
    assert "drift" not in manifest
    assert manifest["sha256"] == "bb71a65a787d4c92669fa0b2ed5ce25492b01d56128fc9fbd722ec64a85f148c"


def test_the_earlier_half_and_who_reviewed_what_when_are_those_of_the_world_without(
    world: World, turned: World
) -> None:
    assert [(w.person.name, w.thing, w.time) for w in turned.written] == [
        (w.person.name, w.thing, w.time) for w in world.written
    ]
    early = [w.time < turned.later[w.person.name].time for w in turned.written]
    assert sum(early) == len(early) / 2
    for before, after, kept in zip(world.written, turned.written, early, strict=True):
        assert (before == after) == kept
    assert drifted(world, 5, 0.5) == turned


def test_a_share_of_the_sayings_is_drawn_anew_from_aspects_that_were_not_cared_about(
    world: World, turned: World
) -> None:
    for person in world.people:
        now = turned.later[person.name].person
        assert len({ASPECT_OF[saying] for saying in now.sayings}) == 4
        assert len(set(now.sayings) & set(person.sayings)) == 2
        assert not {ASPECT_OF[s] for s in set(now.sayings) - set(person.sayings)} & {
            ASPECT_OF[s] for s in person.sayings
        }
        assert (now.circle, now.leniency, now.length) == (person.circle, person.leniency, person.length)
    other = [turned.later[person.name].person.tone != person.tone for person in world.people]
    assert 0.35 < sum(other) / len(other) < 0.65


def test_what_a_review_voices_is_what_its_author_says_at_the_time(turned: World) -> None:
    for w in turned.written:
        turn = turned.later[w.person.name]
        assert (w.person is turn.person) == (w.time >= turn.time)
        assert set(w.sayings) <= set(w.person.sayings)


def test_all_of_a_user_changes_at_most_and_nothing_at_least() -> None:
    rng = random.Random(0)
    person = make_person(rng, "u", "amber")
    whole = changed(rng, person, 1.0)
    assert not set(whole.sayings) & set(person.sayings)
    assert whole.tone != person.tone
    assert whole.article != person.article
    assert changed(rng, person, 0.0) == person


def test_the_truth_files_know_which_traits_hold_when(tmp_path: Path) -> None:
    source = SyntheticSource(SyntheticSource.Config(folder=str(tmp_path), seed=2, users=12, drift=0.5))
    truth = json.loads((source.path / "truth_Books.json").read_text())["users"]
    world = drifted(make_world("Books", 2, users=12), 2, 0.5)
    for w in world.written:
        then = traits(truth[w.person.name], w.time)
        assert (then["sayings"], then["tone"]) == (list(w.person.sayings), w.person.tone)
        assert (then["article"], then["circle"]) == (w.person.article, w.person.circle)
    without = SyntheticSource(SyntheticSource.Config(folder=str(tmp_path), seed=2, users=12))
    assert without.path != source.path
    assert without.fingerprint() != source.fingerprint()


def test_a_drift_that_is_no_share_is_refused() -> None:
    with pytest.raises(ValueError, match=r"source\.drift"):
        SyntheticSource(SyntheticSource.Config(drift=1.5))
