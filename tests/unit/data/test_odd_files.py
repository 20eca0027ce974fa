"""Odd review files, as people have them: what can be meant is read, what is left out is said, the rest is refused."""

from __future__ import annotations

import gzip
import json
import lzma
import math
from pathlib import Path
from typing import Any

import pytest

from dep.data.dataset_store import load_dataset
from dep.data.settings import ProtocolConfig
from dep.data.sources import Amazon2014, Amazon2023
from dep.data.sources.row_log import RowLog
from dep.data.sources.rows import records
from dep.data.sources.values import milliseconds, name, string
from dep.utils.errors import DepError

ROW = {"reviewerID": "a", "asin": "i", "reviewText": "Good.", "overall": 5, "summary": "t", "unixReviewTime": 7}
NEW = {"user_id": "a", "parent_asin": "i", "text": "Good.", "rating": 5, "title": "t", "timestamp": 7}


def load(folder: Path, content: str | bytes, suffix: str = ""):
    path = folder / f"reviews_Toys.json{suffix}"
    path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
    source = Amazon2014(Amazon2014.Config(folder=str(folder)))
    return source.load()["Toys"], source.notes


def line(**fields: Any) -> str:
    return json.dumps(ROW | fields)


TWO = [ROW, ROW | {"reviewerID": "b"}]


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff" + "\n".join(map(json.dumps, TWO)),
        "\n".join(map(repr, TWO)),
        json.dumps(TWO),
        json.dumps(TWO, indent=2),
        "[\n" + ",\n".join(map(json.dumps, TWO)) + "\n]\n",
        "[" + ",\n".join(map(json.dumps, TWO)) + "]",
        ",\n".join(map(json.dumps, TWO)) + ",",
        "\r\n".join(map(json.dumps, TWO)) + "\r\n\r\n",
        "\n\n" + "\n\n".join(map(json.dumps, TWO)),
        "\n".join(json.dumps(row, indent=2) for row in TWO),
        "\n\n" + ",\r\n".join(json.dumps(row, indent=2) for row in TWO) + ",\n",
        "".join(json.dumps(row).replace(", ", ",\n", 1) for row in TWO),
    ],
    ids=["byte order mark", "Python literals", "array", "indented array", "array by lines", "array from line one",
         "commas", "Windows lines", "empty lines", "indented objects", "indented objects with commas",
         "no line break between objects"],
)  # fmt: skip
def test_every_common_form_of_a_file_gives_the_same_reviews(tmp_path: Path, content: str) -> None:
    corpus, notes = load(tmp_path, content)
    assert [review.user for review in corpus.reviews] == ["a", "b"]
    assert notes == []


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        (1300000000, 1300000000000), ("1300000000", 1300000000000), ("1300000000.0", 1300000000000),
        (1300000000.0, 1300000000000), ("2011-03-13", 1299974400000), ("2011-03-13T07:06:40Z", 1300000000000),
        ("2011-03-13 07:06:40", 1300000000000), ("2011-03-13T08:06:40+01:00", 1300000000000),
        ("03 13, 2011", 1299974400000), (math.inf, None), (math.nan, None), ("Infinity", None), (1e300, None),
        ("20110313", 1299974400000), (None, None), ("soon", None), (True, None), ("", None),
    ],
)  # fmt: skip
def test_a_time_is_read_in_every_form_that_means_one(value: Any, ms: int | None) -> None:
    assert milliseconds(value, 1000) == ms


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, "7"),
        (7.0, "7"),
        (" B00 ", " B00 "),
        ("  ", ""),
        (None, ""),
        (True, ""),
        (math.nan, ""),
        ([1], ""),
        (2**70, str(2**70)),
    ],
)
def test_a_numeric_identifier_is_a_name(value: Any, expected: str) -> None:
    assert name(value) == expected


def test_half_an_emoji_is_replaced_in_texts_and_keeps_identifiers_apart(tmp_path: Path) -> None:
    rows = [
        line(reviewText="half \ud83d emoji", summary="\ude00 t", reviewerID="u\ud83d"),
        line(reviewText="whole \ud83d\ude00", reviewerID="u\ud83c", asin="i\ud83d"),
    ]
    (tmp_path / "meta_Toys.json").write_text(json.dumps({"asin": "i", "title": "x \ud83d"}))
    corpus, _ = load(tmp_path, "\n".join(rows))
    assert sorted(review.text for review in corpus.reviews) == ["half \ufffd emoji", "whole \U0001f600"]
    assert len({review.user for review in corpus.reviews}) == 2
    assert corpus.items["i"].title == "x \ufffd"
    source = Amazon2014(Amazon2014.Config(folder=str(tmp_path)))
    loose = ProtocolConfig(
        min_text_chars=1, min_description_chars=0, min_user_reviews=1, min_item_reviewers=1, min_profile_reviewers=0,
        min_profile=0, train_targets=0, targets_used=None, val_examples=None,
    )  # fmt: skip
    with pytest.raises(DepError, match="Toys: expected at least one user"):
        load_dataset(tmp_path / "cache", source, loose)
    assert string(["a\ud83d", None, "b"]) == "a\ufffd  b"


@pytest.mark.parametrize("at", [12, 40, 80, 0.25, 0.5, 0.75, 0.95])
def test_a_gzip_file_that_is_damaged_anywhere_is_named(tmp_path: Path, at: float) -> None:
    whole = bytearray(
        gzip.compress("\n".join(line(reviewerID=f"u{n}", reviewText="x" * n) for n in range(800)).encode())
    )
    place = int(at) if at >= 1 else int(at * len(whole))
    for offset in range(8):
        whole[min(place + offset, len(whole) - 1)] ^= 0x5A
    with pytest.raises(DepError, match=r"reviews_Toys\.json\.gz"):
        load(tmp_path, bytes(whole), ".gz")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (line() + "\n{half", r"line 2: expected one JSON object a line.*'\{half'.*mend or remove"),
        (line() + "\n7", r"line 2: .*found a int"),
        ("[1, 2]", "a JSON array of objects"),
        ("", "found no rows"),
        ("\n \n", "found no rows"),
        ('{"n": ' + "9" * 5000 + "}", r"line 1: expected one JSON object a line"),
        (json.dumps(NEW), "with reviewerID.*found 1 rows; the first has user_id, parent_asin.*source.kind"),
        ("{\n'a': ", "reviews_Toys.json"),
        (
            json.dumps(ROW, indent=2) + '\n{\n  "asin": ,',
            r"reviews_Toys\.json, line 10: expected one JSON.*Expecting value",
        ),
        (json.dumps(ROW, indent=2) + "\n7", r"line 9: expected one JSON object a line.*found a int"),
        ("[" * 100_000, "reviews_Toys.json"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_file_line_and_expectation(
    tmp_path: Path, content: str, expected: str
) -> None:
    with pytest.raises(DepError, match=expected):
        load(tmp_path, content)


def test_text_that_is_not_utf_8_is_refused_with_the_way_to_convert_it(tmp_path: Path) -> None:
    with pytest.raises(DepError, match="the byte 0xf6; convert it, as by `iconv"):
        load(tmp_path, line().encode() + b'\n{"reviewText": "sch\xf6n"}')


@pytest.mark.parametrize(
    ("content", "way_out"),
    [
        (line().encode("utf-16"), "iconv -f utf-16"),
        (gzip.compress(line().encode(), mtime=0), "name it reviews_Toys.json.gz"),
        (lzma.compress(line().encode()), "name it reviews_Toys.json.xz"),
    ],
)  # fmt: skip
def test_another_encoding_or_a_hidden_archive_is_recognised(tmp_path: Path, content: bytes, way_out: str) -> None:
    with pytest.raises(DepError, match=way_out):
        load(tmp_path, content)


def test_a_numeric_title_or_text_is_a_text(tmp_path: Path) -> None:
    rows = [line(summary=2012, reviewText=10), line(reviewText=4.5, reviewerID="b")]
    corpus, notes = load(tmp_path, "\n".join(rows))
    assert corpus.reviews[0].title == "2012"
    assert [review.text for review in corpus.reviews] == ["10", "4.5"]
    assert notes == []
    _, notes = load(tmp_path, "\n".join([line(), line(reviewText=True), line(reviewText=math.nan)]))
    assert notes == ["Toys: 2 of 3 rows of reviews_Toys.json have no text and are left out"]


def test_rows_without_a_field_are_counted_and_said(tmp_path: Path) -> None:
    rows = [line(), line(reviewText=None), line(unixReviewTime="soon"), line(reviewerID=""), line(overall="five")]
    corpus, notes = load(tmp_path, "\n".join(rows))
    assert len(corpus.reviews) == 2
    assert [note.partition(": ")[2] for note in notes] == [
        "1 of 5 rows of reviews_Toys.json have no text and are left out",
        "1 of 5 rows of reviews_Toys.json have a time that is no date and are left out",
        "1 of 5 rows of reviews_Toys.json have no user and are left out",
        "1 of 2 reviews have no rating from 1 to 5",
    ]


def beauty(folder: Path, *meta: dict[str, Any]):
    folder.mkdir(exist_ok=True)
    (folder / "Beauty.jsonl").write_text("\n".join(json.dumps(NEW | {"parent_asin": f"i{n}"}) for n in range(2)))
    (folder / "meta_Beauty.jsonl").write_text("\n".join(map(json.dumps, meta)))
    source = Amazon2023(Amazon2023.Config(folder=str(folder)))
    return source.load()["Beauty"].items, source.notes


def item(n: int, **fields: Any) -> dict[str, Any]:
    return {"parent_asin": f"i{n}", "title": f"T{n}", "description": ["d"], "categories": ["c"]} | fields


def test_a_rule_that_would_drop_every_item_is_not_applied_and_said(tmp_path: Path) -> None:
    items, notes = beauty(tmp_path, item(0, categories=[]), item(1, categories=[]))
    assert [items[name].title for name in ("i0", "i1")] == ["T0", "T1"]
    assert "is empty in all rows of meta_Beauty.jsonl, so its rule is off" in notes[0]
    items, notes = beauty(tmp_path, item(0, categories=[]), item(1))
    assert [items[name].title for name in ("i0", "i1")] == ["", "T1"]
    assert "1 items count as without metadata" in notes[0]
    items, notes = beauty(tmp_path, item(0, categories=[], rating_number=0), item(1, categories=[], rating_number=3))
    assert [items[name].title for name in ("i0", "i1")] == ["", "T1"], "one empty field switches off no other"


def test_a_later_row_without_a_title_wipes_no_earlier_one(tmp_path: Path) -> None:
    items, _ = beauty(tmp_path, item(0), item(1), item(0, title=None, description=["later"]))
    assert (items["i0"].title, items["i0"].description) == ("T0", "later")


def test_metadata_of_another_category_or_with_other_keys_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DepError, match=r"meta_Beauty\.jsonl: expected rows of the reviewed items.*'i0'.*metadata of this"
    ):
        beauty(tmp_path, item(7), item(8))
    with pytest.raises(DepError, match="its first row has id, name"):
        beauty(tmp_path, {"id": "i0", "name": "T0"})


def test_a_filter_that_finds_no_field_says_that_it_is_off(tmp_path: Path) -> None:
    rows = [NEW | {"user_id": f"u{u}", "parent_asin": f"i{n}", "timestamp": n + 1, "text": f"{u} on {n}"}
            for u in range(2) for n in range(4)]  # fmt: skip
    (tmp_path / "Beauty.jsonl").write_text("\n".join(map(json.dumps, rows)))
    meta = [item(n, title="", description=[]) for n in range(4)]
    (tmp_path / "meta_Beauty.jsonl").write_text("\n".join(map(json.dumps, meta)))
    source = Amazon2023(Amazon2023.Config(folder=str(tmp_path)))
    config = ProtocolConfig(
        min_text_chars=1, min_user_reviews=4, min_item_reviewers=1, min_profile_reviewers=1, min_profile=1,
        train_targets=1, val_examples=None,
    )  # fmt: skip
    dataset, _ = load_dataset(tmp_path / "cache", source, config)
    off = [note for note in dataset.notes if note.endswith("is off")]
    assert off == [
        "Beauty: no item has a title, so the filter of items by title is off",
        "Beauty: no item has a description, so the filter of items by description is off",
    ]
    assert load_dataset(tmp_path / "cache", source, config)[0].notes == dataset.notes, "from the cache too"


def test_reviews_that_lack_a_field_that_others_have_are_counted_as_left_out(tmp_path: Path) -> None:
    rows = [NEW | {"user_id": f"u{u}", "parent_asin": f"i{n}", "timestamp": n + 1, "text": f"{u} on {n}"}
            for u in range(3) for n in range(4)]  # fmt: skip
    rows[0]["rating"] = None
    rows[1]["title"] = rows[2]["title"] = ""
    (tmp_path / "Beauty.jsonl").write_text("\n".join(map(json.dumps, rows)))
    meta = [item(n, title="" if n == 3 else "T", description=[]) for n in range(4)]
    (tmp_path / "meta_Beauty.jsonl").write_text("\n".join(map(json.dumps, meta)))
    source = Amazon2023(Amazon2023.Config(folder=str(tmp_path)))
    config = ProtocolConfig(
        min_text_chars=1, min_description_chars=0, min_user_reviews=3, min_item_reviewers=1, min_profile_reviewers=0,
        min_profile=0, train_targets=1, val_examples=None,
    )  # fmt: skip
    dataset, _ = load_dataset(tmp_path / "cache", source, config)
    assert len(dataset.corpora["Beauty"].reviews) == 12 - 1 - 2 - 3
    assert dataset.notes == (
        "Beauty: 1 of 12 reviews have no rating from 1 to 5",
        "Beauty: 1 of 4 items in meta_Beauty.jsonl have no title",
        "Beauty: none of 4 items in meta_Beauty.jsonl has a description",
        "Beauty: reviews without a rating are left out, since others have one",
        "Beauty: 2 of 12 reviews without a title are left out, since others have one",
        "Beauty: 3 of 12 reviews on items without a title are left out",
    )


def test_records_reads_nothing_twice(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("\n".join(line(reviewerID=f"u{n}") for n in range(9000)))
    assert [row["reviewerID"] for row in records(path)] == [f"u{n}" for n in range(9000)]


@pytest.mark.parametrize(
    ("content", "broken"),
    [
        (f'{{"asin": "x\n{line()}\n{line(asin="j")}\n', [1]),
        (f'{json.dumps(ROW, indent=1)}\n{{\n "asin": "x\n}}\n{json.dumps(ROW | {"asin": "j"}, indent=1)}\n', [9]),
        (f"[\n{line()},\noops,\n{line(asin='j')}\n]\n", [3]),
    ],
    ids=["first line", "indented object", "in an array"],
)
def test_a_broken_part_can_be_passed_over_and_is_counted(tmp_path: Path, content: str, broken: list[int]) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    log = RowLog(path.name)
    assert [row["asin"] for row in records(path, log, skip_broken=True)] == ["i", "j"]
    assert (log.rows, log.refused["are broken"].first) == (3, broken)
