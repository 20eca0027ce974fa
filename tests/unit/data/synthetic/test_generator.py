"""The built-in world: what is planted can be found in what is written, and none of it gives itself away at once."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from dep.data.sources import SyntheticSource
from dep.data.synthetic.generator import World, make_world
from dep.data.synthetic.language import ARTICLES, ASPECTS, CIRCLES, CONCEPTS, distinct_sentences


@pytest.fixture(scope="module")
def world() -> World:
    return make_world("Books", 5)


def test_the_same_seed_gives_the_same_world_and_another_seed_another() -> None:
    assert make_world("Books", 3, users=12) == make_world("Books", 3, users=12)
    assert make_world("Books", 3, users=12) != make_world("Books", 4, users=12)
    assert make_world("Books", 3, users=12).written[0].text != make_world("Movies_and_TV", 3, users=12).written[0].text


def test_the_language_has_thousands_of_sentences_of_one_pool_of_concepts() -> None:
    assert distinct_sentences() > 5_000
    assert len(set(CONCEPTS)) == 48 == sum(len(words.split()) for words in ASPECTS.values())
    assert not set(CONCEPTS) & set(CIRCLES)


def test_three_of_four_reviewers_mention_a_fact_and_nothing_in_the_text_tells_facts_from_sayings(world: World) -> None:
    mentions = [fact in w.facts for w in world.written for fact in w.thing.facts]
    assert 0.72 < sum(mentions) / len(mentions) < 0.78
    for w in world.written[:200]:
        assert all(concept in w.text for concept in (*w.facts, *w.sayings))


def test_one_review_does_not_give_its_author_away(world: World) -> None:
    voiced = [len(w.sayings) for w in world.written]
    assert sum(voiced) / len(voiced) < 0.7 * 4, "most reviews leave sayings out"
    own = [f" {w.person.article} " in w.text for w in world.written]
    assert sum(own) / len(own) > 0.9, "nearly all reviews have their author's article ..."
    others = [
        sum(f" {article} " in w.text for article in ARTICLES if article != w.person.article) for w in world.written
    ]
    assert sum(others) / len(others) > 1, "... and some that are not"
    greeted = sum(w.greeted for w in world.written) / len(world.written)
    assert 0.45 < greeted < 0.55


def test_a_circle_shares_items_so_that_peers_share_its_greeting(world: World) -> None:
    home = [w.person.circle == w.thing.circle for w in world.written]
    assert 0.75 < sum(home) / len(home) < 0.9
    reviewers = Counter(w.thing.name for w in world.written)
    assert sorted(reviewers.values())[len(reviewers) // 20] >= 3, "nearly every item has peers"


def test_lenient_users_give_more_stars_than_peers_do(world: World) -> None:
    by_thing: dict[str, list[int]] = {}
    for w in world.written:
        by_thing.setdefault(w.thing.name, []).append(w.rating)
    above = {True: [], False: []}  # type: ignore[var-annotated]
    for w in world.written:
        ratings = by_thing[w.thing.name]
        above[w.person.leniency > 0].append(w.rating - sum(ratings) / len(ratings))
    assert sum(above[True]) / len(above[True]) > 0.2 > -0.2 > sum(above[False]) / len(above[False])


def test_it_takes_the_road_of_amazon_2023_and_keeps_every_review(tmp_path: Path) -> None:
    source = SyntheticSource(SyntheticSource.Config(folder=str(tmp_path), seed=2, users=12))
    corpora = source.load()
    assert sorted(corpora) == ["Books", "CDs_and_Vinyl", "Movies_and_TV"]
    written = make_world("Books", 2, users=12).written
    assert sorted(r.text for r in corpora["Books"].reviews) == sorted(w.text for w in written)
    truth = json.loads((source.path / "truth_Books.json").read_text())
    assert set(truth["users"]) == {r.user for r in corpora["Books"].reviews}


def test_files_of_another_version_of_the_language_are_written_anew(tmp_path: Path) -> None:
    config = SyntheticSource.Config(folder=str(tmp_path), seed=2, users=12)
    folder = SyntheticSource(config).path
    reviews = (folder / "Books.jsonl").read_text()
    manifest = json.loads((folder / "world.json").read_text())
    (folder / "Books.jsonl").write_text("of an older version\n")
    (folder / "world.json").write_text(json.dumps(manifest | {"sha256": "of an older version"}))
    assert (
        SyntheticSource(SyntheticSource.Config(folder=str(tmp_path), seed=2, users=12)).path / "Books.jsonl"
    ).read_text() == reviews


def test_the_seeds_that_the_backbone_learned_from_cannot_be_evaluated() -> None:
    with pytest.raises(ValueError, match="899,999"):
        SyntheticSource(SyntheticSource.Config(seed=1_000_000))
