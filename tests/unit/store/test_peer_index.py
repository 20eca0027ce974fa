"""Differences and histories of a store, against means that are computed anew from plain lists."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import dep
from dep.store.peer_index import PeerIndex
from dep.store.reviews import Key, StoredReview
from dep.store.settings import PeerSettings
from dep.utils.errors import DepError

from .conftest import E, drawn_reviews, review, vectors

Rows = dict[Key, tuple[StoredReview, Tensor]]


def rebuilt_mean(
    rows: Rows, category: str, item: str, without: str | None, before: int | None, tau: float = 0.0
) -> tuple[Tensor, int]:
    """The oracle: the mean over the rows of others, in float64, shrunk towards that of the category."""
    others = [
        (row.item, x.double())
        for row, x in rows.values()
        if row.category == category and row.user != without and (before is None or row.time < before)
    ]
    of_item = [x for name, x in others if name == item]
    if not of_item:
        return torch.zeros(E), 0
    weight = len(of_item) / (len(of_item) + tau)
    whole = torch.stack([x for _, x in others]).mean(0)
    return (weight * torch.stack(of_item).mean(0) + (1 - weight) * whole).float(), len(of_item)


def with_known_title(row: StoredReview, rows: Rows) -> StoredReview:
    """What replaces a review keeps the title and the description that it does not say."""
    old = rows[row.key][0] if row.key in rows else row
    title, description = row.item_title or old.item_title, row.description or old.description
    return replace(row, item_title=title, description=description)


def check_against_rebuild(index: PeerIndex, rows: Rows, before: int | None) -> int:
    """Compare every user's history with the oracle; return how many differences were compared."""
    compared, settings = 0, index.settings
    for user in {key.user for key in rows}:
        expected = [row for row, _ in rows.values() if row.user == user and (before is None or row.time < before)]
        found = index.history(user, newest=100, before=before)
        assert {past.review.key for past in found} == {row.key for row in expected}
        assert [past.review.time for past in found] == sorted((row.time for row in expected), reverse=True)
        for past in found:
            own, his = rows[past.review.key]
            assert (past.review.text, past.review.rating) == (own.text, own.rating)
            assert torch.equal(past.his, his)
            cut = own.time if settings.time == "earlier" else before
            mean, peers = rebuilt_mean(rows, own.category, own.item, user, cut, settings.tau)
            assert past.peers == (peers if peers >= settings.min_peers else 0)
            assert (past.diff is None) == (past.peers == 0)
            if past.diff is not None:
                assert torch.allclose(past.diff, (his.double() - mean.double()).float(), rtol=0, atol=1e-6)
                compared += 1
    return compared


@pytest.mark.parametrize(
    "settings",
    [PeerSettings(), PeerSettings(tau=3.0), PeerSettings(min_peers=3), PeerSettings(time="earlier")],
    ids=["plain", "shrunk", "k-anonymous", "earlier"],
)
@pytest.mark.parametrize("seed", range(3))
def test_after_any_order_of_updates_each_read_equals_a_rebuild(
    tmp_path: Path, seed: int, settings: PeerSettings, contents: Callable[[Path], object]
) -> None:
    rng, rows, compared = random.Random(seed), Rows(), 0
    with PeerIndex.open(tmp_path / "store.sqlite", E, settings) as index:
        for step in range(16):
            batch = drawn_reviews(100 * seed + step, rng.randrange(1, 12))
            x = vectors(len(batch), rng.randrange(10**6))
            index.add(batch, x)
            rows |= {row.key: (with_known_title(row, rows), x[at]) for at, row in enumerate(batch)}
            for key in rng.sample(sorted(rows), min(len(rows), rng.randrange(4))):
                assert index.delete(*key)
                del rows[key]
            if step % 6 == 5 and rows:
                user = rng.choice(sorted(rows)).user
                assert index.delete_user(user) == sum(key.user == user for key in rows)
                rows = {key: value for key, value in rows.items() if key.user != user}
            compared += check_against_rebuild(index, rows, rng.choice([None, rng.randrange(30)]))
            assert len(index) == len(rows)
    assert compared > 20
    with PeerIndex.open(tmp_path / "again.sqlite", E) as fresh:
        order = rng.sample(sorted(rows), len(rows))
        fresh.add([rows[key][0] for key in order], torch.stack([rows[key][1] for key in order]))
    assert contents(tmp_path / "store.sqlite") == contents(tmp_path / "again.sqlite")


def test_a_store_s_differences_are_those_of_equation_four(tmp_path: Path) -> None:
    rows = list({row.key: row for row in drawn_reviews(0, 40)}.values())
    rows, x = [replace(row, category="Music") for row in rows if row.category == "Music"], vectors(40)
    x = x[: len(rows)]
    diff, peers = dep.differences(x, [row.user for row in rows], [row.item for row in rows])
    with dep.PeerIndex.open(tmp_path / "store.sqlite", width=E) as index:
        index.add(rows, x)
        found = {past.review.key: past for user in {r.user for r in rows} for past in index.history(user, newest=99)}
    assert peers.tolist() == [found[row.key].peers for row in rows]
    for at, row in enumerate(rows):
        if peers[at]:
            assert torch.allclose(found[row.key].diff, diff[at], rtol=0, atol=1e-6)


def test_the_mean_for_a_requested_item_leaves_out_its_reader_and_what_is_later(tmp_path: Path) -> None:
    rows, x = [review(user, "lamp", time) for time, user in enumerate("abcd")], vectors(4)
    with PeerIndex.open(tmp_path / "store.sqlite", E) as index:
        index.add(rows, x)
        for without, before, kept in (("a", None, [1, 2, 3]), ("x", 3, [0, 1, 2]), ("a", 2, [1]), ("a", 1, [])):
            mean, count = index.peer_mean("Music", "lamp", without=without, before=before)
            expected = x[kept].double().mean(0).float() if kept else torch.zeros(E)
            assert count == len(kept)
            assert torch.allclose(mean, expected, rtol=0, atol=1e-6)
        assert index.peer_mean("Music", "chair", without="a")[1] == 0
        assert index.peer_mean("Books", "lamp", without="a")[1] == 0


def test_a_history_can_be_of_one_category_and_has_the_newest_first(tmp_path: Path) -> None:
    rows = [review("a", f"i{time}", time, category="Books" if time % 2 else "Music") for time in range(9)]
    with PeerIndex.open(tmp_path / "store.sqlite", E) as index:
        index.add(rows, vectors(9))
        assert [past.review.time for past in index.history("a", newest=3)] == [8, 7, 6]
        assert [past.review.time for past in index.history("a", "Books", newest=3, before=7)] == [5, 3, 1]
        assert index.history("nobody") == []
        assert index.categories() == ["Books", "Music"]


def test_a_review_without_an_item_s_title_shows_the_title_that_others_gave(tmp_path: Path) -> None:
    with PeerIndex.open(tmp_path / "store.sqlite", E) as index:
        index.add([replace(review("a", "i"), item_title="", rating=float("nan")), review("b", "i")], vectors(2))
        (past,) = index.history("a")
        assert past.review.item_title == "i!"
        assert past.review.rating != past.review.rating
        assert index.find([past.review.key])[0][0].item_title == ""
        index.delete_user("b")
        assert index.history("a")[0].review.item_title == ""


def test_a_second_process_s_changes_are_seen_at_the_next_read(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with PeerIndex.open(path, E) as one, PeerIndex.open(path) as other:
        one.add([review("a", "i"), review("b", "i")], vectors(2))
        assert other.history("a")[0].peers == 1
        other.delete_user("b")
        assert one.history("a")[0].peers == 0


def test_an_item_keeps_its_title_when_a_review_comes_again_without_it(tmp_path: Path) -> None:
    def row(user: str, title: str, description: str, time: int) -> StoredReview:
        return replace(review(user, "lamp", time), item_title=title, description=description)

    with PeerIndex.open(tmp_path / "store.sqlite", E) as index:
        index.add([row("a", "A lamp", "old", 1)], vectors(1))
        index.add([row("a", "", "", 2)], vectors(1))
        assert index.about("Music", "lamp") == ("A lamp", "old")
        index.add([row("a", "", "new", 3)], vectors(1))
        assert index.about("Music", "lamp") == ("A lamp", "new")
        index.add([row("b", "", "", 4)], vectors(1))
        assert index.history("b")[0].review.item_title == "A lamp"
        index.add([row("b", "The lamp", "", 5)], vectors(1))
        assert index.about("Music", "lamp") == ("The lamp", "new")
        assert [index.history(user)[0].review.item_title for user in "ab"] == ["A lamp", "The lamp"]
        assert index.history("b")[0].review.description == "new"
        index.delete_user("a")
        assert index.about("Music", "lamp") == ("The lamp", "")


def test_settings_stay_with_the_file_until_others_are_given(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    PeerIndex.open(path, E, PeerSettings(min_peers=4), embedder="ab").close()
    with PeerIndex.open(path) as index:
        assert (index.width, index.settings.min_peers, index.embedder) == (E, 4, "ab")
    PeerIndex.open(path, E, PeerSettings()).close()
    with PeerIndex.open(path) as index:
        assert index.settings == PeerSettings()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 8}, "width of the vectors: expected 16, found 8"),
        ({"embedder": "cd"}, "embedder: expected ab, found cd"),
    ],
)
def test_a_store_of_other_vectors_is_refused_in_one_line(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    PeerIndex.open(tmp_path / "s", E, embedder="ab").close()
    with pytest.raises(DepError, match=message):
        PeerIndex.open(tmp_path / "s", **change)  # type: ignore[arg-type]


def test_a_file_that_is_no_store_is_refused_and_not_touched(tmp_path: Path) -> None:
    import sqlite3

    (tmp_path / "text").write_text("reviews " * 100)
    with sqlite3.connect(tmp_path / "other") as db:
        db.execute("CREATE TABLE t(x)")
    db.close()
    for name in ("text", "other"):
        before = (tmp_path / name).read_bytes() if name == "text" else None
        with pytest.raises(DepError, match=f"{name}: expected a store"):
            PeerIndex.open(tmp_path / name)
        assert before is None or (tmp_path / name).read_bytes() == before


@pytest.mark.parametrize(
    ("row", "x", "message"),
    [
        (review("a", "i"), vectors(2), r"shape \[1, 16\]"),
        (review("a", "i"), vectors(1) * float("nan"), "numbers between -64 and 64"),
        (review("a", "i"), vectors(1) * 1000, "normalise them"),
        (review("a\0b", "i"), vectors(1), "names without NUL"),
        (review("a", "i", text="\ud800"), vectors(1), "valid Unicode"),
        (review("a", "i", time=2**63), vectors(1), "milliseconds since 1970"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_changes_nothing(
    tmp_path: Path, row: StoredReview, x: Tensor, message: str
) -> None:
    with PeerIndex.open(tmp_path / "store.sqlite", E) as index:
        with pytest.raises(DepError, match=message):
            index.add([row], x)
        assert len(index) == 0


def test_settings_out_of_range_name_the_setting() -> None:
    with pytest.raises(DepError, match=r"store\.min_peers: expected 1 or more, found 0"):
        PeerSettings(min_peers=0)
    with pytest.raises(DepError, match=r"set store\.tau=0"):
        PeerSettings(noise=1.0, tau=1.0)
