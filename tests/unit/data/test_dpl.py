"""Local copies of the published sets, as people have them."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dep.data.sources import DPL
from dep.utils.errors import DepError

META = [{"asin": f"i{n}", "title": f"item {n}", "description": "d"} for n in range(9)]


def entry(n: int, who: str = "u", **fields: Any) -> dict[str, Any]:
    return {"asin": f"i{n}", "title": "t", "timestamp": n, "rating": 4.0, "text": f"{who} on {n}"} | fields


def row(*written: dict[str, Any], user: str = "u") -> dict[str, Any]:
    return {"user_id": user, "profile": list(written[:-1]), "data": written[-1]}


def dpl(folder: Path, meta: list[dict[str, Any]] | None = None, ending: str = ".jsonl", **splits: Any) -> DPL:
    for name, rows in {"main": splits, "meta": {"full": META if meta is None else meta}}.items():
        (folder / name / "Books").mkdir(parents=True)
        for split, content in rows.items():
            path = folder / name / "Books" / f"{split}{ending}"
            if ending == ".parquet":
                pq.write_table(pa.Table.from_pylist(content), path)
            else:
                path.write_text(content if isinstance(content, str) else "\n".join(map(json.dumps, content)))
    return DPL(DPL.Config(main=str(folder / "main"), meta=str(folder / "meta"), categories=["Books"]))


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_local_files_are_read_without_the_library_of_the_hub(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    rows = [row(entry(1), entry(2))]
    reviews = dpl(tmp_path, ending=ending, train=rows, val=rows, test=rows).load()["Books"].reviews
    assert [review.text for review in reviews] == ["u on 1", "u on 2"]


def test_odd_values_are_read_as_in_other_sources(tmp_path: Path) -> None:
    odd = row(entry(1, timestamp="2011-03-13T07:06:40Z", text="half \ud83d"), entry(2, timestamp=1300000000001, asin=7))
    reviews = dpl(tmp_path, train=[odd], val=[odd], test=json.dumps(odd, indent=2)).load()["Books"].reviews
    assert [(review.item, review.text, review.time) for review in reviews] == [
        ("i1", "half \ufffd", 1300000000000), ("7", "u on 2", 1300000000001),
    ]  # fmt: skip


def test_a_time_may_be_a_date_of_parquet(tmp_path: Path) -> None:
    rows = [
        row(entry(1, timestamp=datetime(2011, 3, 13, 7, 6, 40)), entry(2, timestamp=datetime(2012, 1, 1, tzinfo=UTC)))
    ]
    for one in rows[0]["profile"]:
        one["timestamp"] = one["timestamp"].replace(tzinfo=UTC)
    reviews = dpl(tmp_path, ending=".parquet", train=rows, val=rows, test=rows).load()["Books"].reviews
    assert [review.time for review in reviews] == [1300000000000, 1325376000000]


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ('{"user_id": "u", "profile": [], "data"', r"train\.jsonl, line 1: expected one JSON object"),
        ([{"user_id": "u", "profile": []}], "expected columns user_id, profile, data, found.*; data missing"),
        ([row(entry(1, text=None))], r"Books/train, row 1: a review of 'u' on 'i1' has no user, item, text or time"),
        ([row(entry(1)), row(entry(1), user="")], "row 2: a review of '' on 'i1' has no user"),
        ([{"user_id": "u", "profile": "none", "data": {}}], "row 1: expected a list of reviews as profile.*found str"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_place(tmp_path: Path, train: Any, expected: str) -> None:
    with pytest.raises(DepError, match=expected):
        dpl(tmp_path, train=train, val=[], test=[]).load()


def test_two_people_under_one_user_id_are_kept_apart_and_counted(tmp_path: Path) -> None:
    ann, bob = [entry(n, "ann") for n in range(4)], [entry(n, "bob", timestamp=n + 1) for n in range(2, 6)]
    other = [entry(n, "other") for n in range(4)]
    source = dpl(
        tmp_path,
        train=[row(*ann[:2]), row(*bob[:2]), row(*other[:2], user="u (2)")],
        val=[row(*bob[:3]), row(*ann[:3])],
        test=[row(*ann), row(*bob), row(*other, user="u (2)")],
    )
    reviews = source.load()["Books"].reviews
    assert len(reviews) == 12
    for example in source.examples():
        written = [reviews[at] for at in (*example.profile, example.row)]
        assert len({review.user for review in written}) == 1
        assert len({review.text.split()[0] for review in written}) == 1, "nobody else's review in a profile"
    assert {review.user: review.text.split()[0] for review in reviews} == {"u": "ann", "u (3)": "bob", "u (2)": "other"}
    assert source.notes == [
        "Books: 1 user ids stand for several people, since rows of such an id share no review; the people are kept "
        "apart"
    ]


def test_rows_of_one_person_are_linked_in_any_order(tmp_path: Path) -> None:
    mine = [entry(n) for n in range(6)]
    source = dpl(tmp_path, train=[row(mine[0]), row(*mine[3:5])], val=[row(*mine[4:6])], test=[row(*mine[:4])])
    assert {review.user for review in source.load()["Books"].reviews} == {"u"}
    assert source.notes == []


def test_a_later_row_of_an_item_without_a_title_wipes_no_earlier_one(tmp_path: Path) -> None:
    meta = [*META, {"asin": "i1", "title": None, "description": "later"}]
    rows = [row(entry(1), entry(2))]
    item = dpl(tmp_path, meta, train=rows, val=rows, test=rows).load()["Books"].items["i1"]
    assert (item.title, item.description) == ("item 1", "later")
