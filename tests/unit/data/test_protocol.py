from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dep.data.protocol import ReviewDataset, apply, prepare
from dep.data.settings import ProtocolConfig
from dep.data.sources import Amazon2014
from dep.evaluation.author_probe import user_rows
from dep.types import Corpus, Example, Item, Review

SMALL = ProtocolConfig(
    min_text_chars=0,
    min_description_chars=0,
    max_description_chars=None,
    min_user_reviews=5,
    max_user_reviews=None,
    min_item_reviewers=2,
    min_profile_reviewers=2,
    min_profile=1,
    train_targets=1,
    targets_used=None,
    val_examples=None,
)


def _corpus(reviews: list[Review], description: str = "") -> Corpus:
    reviews = sorted(reviews, key=lambda r: (r.user, r.time, r.item))
    return Corpus("Toys", reviews, {r.item: Item(r.item, f"item {r.item}", description) for r in reviews})


def _grid(users: int = 4, items: int = 12, length: int = 300, description: str = "") -> Corpus:
    """Everybody reviews everything, in the order of the items, a little text each."""
    return _corpus(
        [
            Review(f"u{u}", f"i{i:02d}", f"{u} {i} ".ljust(length, "x"), 4.0, "title", 1 + i)
            for u in range(users)
            for i in range(items)
        ],
        description,
    )


def _one(corpus: Corpus, config: ProtocolConfig) -> tuple[Corpus, list[Example]]:
    prepared = apply({"Toys": corpus}, config)
    return prepared.corpora["Toys"], prepared.examples


def _texts(corpus: Corpus, example: Example) -> tuple[str, list[str]]:
    return corpus.reviews[example.row].text, [corpus.reviews[row].text for row in example.profile]


def _oracle(corpus: Corpus, c: ProtocolConfig) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """Steps 3 to 7 with plain loops: (split, user, target item, profile items) of every example."""

    def unique(rows: list[Review]) -> list[Review]:
        kept: list[Review] = []
        for review in sorted(rows, key=lambda r: (r.time, r.item))[::-1]:
            if all(review.item != other.item and review.text != other.text for other in kept):
                kept.insert(0, review)
        return kept

    rows = list(corpus.reviews)
    changed = True
    while changed:
        changed = False
        drop = []
        for review in rows:
            reviewers = {r.user for r in rows if r.item == review.item}
            own = unique([r for r in rows if r.user == review.user])
            if len(reviewers) < c.min_item_reviewers or len(own) < c.min_user_reviews:
                drop.append(review)
        if drop:
            rows = [r for r in rows if r not in drop]
            changed = True
    squeezed = [replace(r, text=" ".join(r.text.split())) for r in rows]
    tail = c.train_targets + 2
    people = {}
    for user in sorted({r.user for r in squeezed}):
        own = unique([r for r in squeezed if r.user == user])
        if len(own) >= tail:
            people[user] = (own[:-tail], own[-tail:])
    while True:
        before = len(people)
        everyone = [(user, r.item) for user, (profile, _) in people.items() for r in profile]
        after = {}
        for user, (profile, targets) in people.items():
            kept = [r for r in profile if len({u for u, item in everyone if item == r.item}) >= c.min_profile_reviewers]
            if len(kept) >= c.min_profile:
                after[user] = (kept, targets)
        people = after
        if len(people) == before:
            break
    found = []
    for user, (profile, targets) in people.items():
        for place, target in enumerate(targets):
            split = {len(targets) - 1: "test", len(targets) - 2: "val"}.get(place, "train")
            past = tuple(r.item for r in profile + targets[:place])
            found.append((split, user, target.item, past))
    return sorted(found)


@pytest.mark.parametrize("seed", range(6))
def test_filters_and_splits_agree_with_plain_loops(random_corpus: Callable[..., Corpus], seed: int) -> None:
    config = replace(SMALL, min_user_reviews=6, min_item_reviewers=4, min_profile_reviewers=3, min_profile=2)
    config.train_targets = 2
    raw = random_corpus(seed, users=18, items=14, reviews=180)
    expected = _oracle(raw, config)
    users = {r.user for r in raw.reviews}
    assert 0 < len(expected) // 4 < len(users), "some pass and some do not, or the test shows nothing"
    prepared = apply({"Books": raw}, config)
    reviews = prepared.corpora["Books"].reviews
    found = [
        (e.split, reviews[e.row].user, reviews[e.row].item, tuple(reviews[row].item for row in e.profile))
        for e in prepared.examples
    ]
    assert sorted(found) == expected


def test_a_profile_holds_everything_before_its_target_and_nothing_after() -> None:
    corpus, examples = _one(_grid(), ProtocolConfig(min_user_reviews=5, min_item_reviewers=2, min_profile_reviewers=2,
                                                    min_profile=2, targets_used=None))  # fmt: skip
    assert {split: sum(e.split == split for e in examples) for split in ("train", "val", "test")} == {
        "train": 32,
        "val": 4,
        "test": 4,
    }
    for example in examples:
        assert example.row not in example.profile
        target = corpus.reviews[example.row]
        assert all(corpus.reviews[row].user == target.user for row in example.profile)
        times = [corpus.reviews[row].time for row in example.profile]
        assert times == sorted(times) == list(range(1, target.time)), "everybody reviewed an item at every time"
    assert sorted({corpus.reviews[e.row].time for e in examples if e.split == "test"}) == [12]


def test_only_the_most_recent_training_targets_are_used() -> None:
    config = ProtocolConfig(min_user_reviews=5, min_item_reviewers=2, min_profile_reviewers=2, min_profile=2)
    corpus, examples = _one(_grid(), config)
    assert [corpus.reviews[e.row].time for e in examples if e.split == "train"] == [10] * 4
    _, examples = _one(_grid(), replace(config, targets_used=3))
    assert sum(e.split == "train" for e in examples) == 12


def test_short_texts_and_descriptions_out_of_range_do_not_count() -> None:
    config = replace(SMALL, min_text_chars=200, min_description_chars=100, max_description_chars=2000)
    for length, description in ((199, "d" * 100), (200, "d" * 99), (200, "d" * 2001)):
        with pytest.raises(ValueError, match="found none"):
            _one(_grid(length=length, description=description), config)
    assert _one(_grid(length=200, description="d" * 2000), config)[1]


def test_descriptions_and_titles_are_not_asked_of_a_source_without_any() -> None:
    raw = _grid()
    bare = Corpus(raw.category, raw.reviews, {name: Item(name, "") for name in raw.items})
    assert len(_one(bare, replace(SMALL, min_description_chars=100))[0].items) == 12
    some = Corpus(raw.category, raw.reviews, bare.items | {"i00": Item("i00", "only one", "d" * 200)})
    with pytest.raises(ValueError, match="found none"):
        _one(some, replace(SMALL, min_description_chars=100))


def test_reviews_without_rating_or_title_do_not_count() -> None:
    raw = _grid()
    for field in ({"rating": float("nan")}, {"title": ""}):
        spoiled = [replace(r, **field) if r.item == "i03" else r for r in raw.reviews]
        assert "i03" not in _one(_corpus(spoiled), SMALL)[0].items


def test_of_a_repeated_item_or_text_the_last_stays_and_whitespace_is_squeezed() -> None:
    again = Review("u0", "i01", "written\n\n again ", 1.0, "title", 100)
    same_text = Review("u0", "i02", "0 11 ".ljust(300, "x"), 1.0, "title", 50)
    raw = _grid()
    corpus, _ = _one(_corpus([r for r in raw.reviews if (r.user, r.item) != ("u0", "i02")] + [again, same_text]), SMALL)
    own = [r for r in corpus.reviews if r.user == "u0"]
    assert [r.item for r in own].count("i01") == 1
    assert own[-1].text == "written again"
    assert "i11" not in [r.item for r in own], "its text was used again for i02, later"


def test_who_wrote_too_much_is_left_out_altogether() -> None:
    raw = _grid(users=3)
    extra = [Review(u, f"j{n}", f"{u} more {n}", 4.0, "title", 99) for n in range(3) for u in ("u0", "u1")]
    corpus, _ = _one(
        _corpus(raw.reviews + extra),
        replace(SMALL, max_user_reviews=12, min_item_reviewers=1, min_profile_reviewers=1),
    )
    assert {r.user for r in corpus.reviews} == {"u2"}


def _with_a_passer_by() -> Corpus:
    """The grid, and somebody with too few reviews, one of them on an item that nobody else has."""
    passing = [Review("zz", item, f"passing by {item}", 4.0, "title", 5) for item in ("i00", "i01", "other")]
    return _corpus(_grid().reviews + passing)


def test_the_pool_all_keeps_reviews_of_users_who_do_not_pass_where_they_can_be_peers() -> None:
    kept, _ = _one(_with_a_passer_by(), SMALL)
    assert "zz" not in {r.user for r in kept.reviews}
    prepared = apply({"Toys": _with_a_passer_by()}, replace(SMALL, peer_pool="all"))
    reviews = prepared.corpora["Toys"].reviews
    assert [r.item for r in reviews if r.user == "zz"] == ["i00", "i01"]
    assert "zz" not in {reviews[e.row].user for e in prepared.examples}
    assert bool(prepared.pool["Toys"].all())


def test_the_pool_all_counts_reviewers_over_everybody() -> None:
    lone = _corpus(
        [Review("u0", f"i{n}", f"mine {n}", 4.0, "title", n + 1) for n in range(6)]
        + [Review(f"v{n}", f"i{n}", f"theirs {n}", 4.0, "title", 1) for n in range(6)]
    )
    with pytest.raises(ValueError, match="found none"):
        _one(lone, SMALL)
    _, examples = _one(lone, replace(SMALL, peer_pool="all"))
    assert [len(e.profile) for e in examples] == [3, 4, 5]


def test_the_pool_history_leaves_validation_and_test_targets_out_of_the_peers() -> None:
    prepared = apply({"Toys": _grid()}, replace(SMALL, peer_pool="history", val_examples=1))
    reviews = prepared.corpora["Toys"].reviews
    assert {reviews[row].time for row in range(len(reviews)) if not prepared.pool["Toys"][row]} == {11, 12}
    assert int(prepared.pool["Toys"].sum()) == 4 * 10


def test_validation_and_test_examples_are_drawn_from_all_categories_by_seed() -> None:
    raw = _grid(users=30)
    corpora = {name: Corpus(name, raw.reviews, raw.items) for name in ("A", "B")}

    def drawn(seed: int) -> ReviewDataset:
        return apply(corpora, replace(SMALL, val_examples=20, test_examples=10, seed=seed))

    def keys(prepared: ReviewDataset, split: str) -> list[str]:
        return [e.key for e in prepared.examples if e.split == split]

    assert [len(keys(drawn(0), split)) for split in ("train", "val", "test")] == [60, 20, 10]
    assert {key[0] for key in keys(drawn(0), "val")} == {"A", "B"}
    assert keys(drawn(0), "val") == keys(drawn(0), "val") != keys(drawn(1), "val")
    assert keys(drawn(0), "train") == keys(drawn(1), "train")


def test_when_nobody_passes_the_error_says_where_the_reviews_went() -> None:
    with pytest.raises(ValueError, match=r"reviews: 48 in the source, 48 after the text and item filters, 0 after"):
        _one(_grid(), replace(SMALL, min_user_reviews=100))


@dataclass
class _Split:
    """A source that comes split."""

    corpus: Corpus
    kind: str = "split"

    def load(self) -> dict[str, Corpus]:
        return {"Toys": self.corpus}

    def fingerprint(self) -> str:
        return ""

    def examples(self) -> list[Example]:
        return [
            Example("Toys", "train", 3, (0,)),
            Example("Toys", "train", 4, (0, 3)),
            Example("Toys", "val", 5, (0, 3, 4)),
            Example("Toys", "test", 6, (0, 3, 4, 5)),
        ]


def test_a_source_that_comes_split_keeps_its_rows_and_split() -> None:
    source = _Split(_grid(users=1))
    prepared = prepare(source, ProtocolConfig(peer_pool="history"))
    assert prepared.corpora["Toys"] == source.corpus
    assert prepared.examples == source.examples()[1:], "of the training targets the most recent"
    assert [row for row in range(12) if not prepared.pool["Toys"][row]] == [5, 6]
    with pytest.raises(ValueError, match="expected 'kept', 'history' or 'test_profile'"):
        prepare(source, ProtocolConfig(peer_pool="all"))


PEER_VIEW = ProtocolConfig(
    min_description_chars=0,
    max_description_chars=None,
    min_user_reviews=8,
    min_item_reviewers=2,
    min_profile_reviewers=1,
    min_profile=1,
    train_targets=0,
    val_examples=None,
    peer_pool="all",
)


def test_the_peer_view_of_real_reviews_has_the_documented_size(shared_data: Path) -> None:
    source = Amazon2014(Amazon2014.Config(folder=str(shared_data / "amazon2014_digital_music")))
    prepared = prepare(source, PEER_VIEW)
    corpus = prepared.corpora["Digital_Music"]
    rows = user_rows(prepared.examples, "Digital_Music")
    assert len({corpus.reviews[row].user for row in rows}) == 133
    assert len(rows) == 1949
    assert len(corpus.reviews) == 6084


def test_the_configuration_is_one_that_omegaconf_can_type() -> None:
    omegaconf = pytest.importorskip("omegaconf")
    schema = omegaconf.OmegaConf.structured(ProtocolConfig)
    merged = omegaconf.OmegaConf.merge(schema, {"val_examples": None, "peer_pool": "all"})
    assert omegaconf.OmegaConf.to_object(merged) == ProtocolConfig(val_examples=None, peer_pool="all")
    with pytest.raises(omegaconf.errors.ValidationError):
        omegaconf.OmegaConf.merge(schema, {"peer_pool": "everyone"})
