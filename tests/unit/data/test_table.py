"""A table of reviews under column names of one's own."""

from __future__ import annotations

import csv
import json
import lzma
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dep.data.protocol import prepare
from dep.data.settings import ProtocolConfig
from dep.data.sources import SOURCES
from dep.data.sources.table import TableSource
from dep.utils.errors import DepError

ROWS = [
    {"author": 7, "film": "x", "review": 'Good,\n"really".', "stars": 10, "when": "24 July 2010", "name": "X <i>1</i>"},
    {"author": 8, "film": "x", "review": "Bad &amp; long<br>one.", "stars": 1, "when": "2011-01-02", "name": ""},
    {"author": 8, "film": "y", "review": "", "stars": "", "when": "2011-01-02", "name": "Y"},
]  # fmt: skip
COLUMNS = {"user": "author", "item": "film", "text": "review", "rating": "stars", "time": "when", "item_title": "name"}


def write(folder: Path, ending: str) -> Path:
    path = folder / f"films{ending}"
    if ending.startswith((".csv", ".tsv")):
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.DictWriter(file, ROWS[0], delimiter="\t" if ending == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(ROWS)
    elif ending == ".parquet":
        pq.write_table(pa.Table.from_pylist([row | {"stars": str(row["stars"])} for row in ROWS]), path)
    else:
        content = "\n".join(map(json.dumps, ROWS)).encode()
        path.write_bytes(lzma.compress(content) if ending.endswith(".xz") else content)
    return path


def source(path: Path, **settings) -> TableSource:
    config = TableSource.Config(path=str(path), columns=COLUMNS, rating_max=10, strip_html=True, **settings)
    built = SOURCES.build(config)
    assert isinstance(built, TableSource)
    return built


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".jsonl.xz", ".parquet"])
def test_every_format_gives_the_same_reviews(tmp_path: Path, ending: str) -> None:
    table = source(write(tmp_path, ending))
    corpus = table.load()["Reviews"]
    assert [(r.user, r.item, r.text, r.rating, r.time) for r in corpus.reviews] == [
        ("7", "x", 'Good,\n"really".', 5.0, 1279929600000),
        ("8", "x", "Bad & long one.", 1.0, 1293926400000),
    ]
    assert corpus.items["x"].title == "X 1"
    assert table.notes == [f"1 of 3 rows of films{ending} have no text and are left out"]


def test_a_missing_column_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    path = write(tmp_path, ".csv")
    with pytest.raises(DepError, match=r"columns for user, item, text, found author.*source\.columns\.user=author"):
        TableSource(TableSource.Config(path=str(path))).load()
    with pytest.raises(DepError, match="found writer"):
        TableSource(TableSource.Config(path=str(path), columns={"writer": "author"}))


def test_reviews_without_ratings_titles_and_times_pass_the_filters(tmp_path: Path) -> None:
    rows = [{"user": f"u{u}", "item": f"i{n}", "text": f"{u} on {n}"} for u in range(2) for n in range(4)]
    path = tmp_path / "plain.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    config = ProtocolConfig(
        min_text_chars=1, min_description_chars=0, min_user_reviews=4, min_item_reviewers=1, min_profile_reviewers=1,
        min_profile=1, train_targets=1, val_examples=None,
    )  # fmt: skip
    dataset = prepare(TableSource(TableSource.Config(path=str(path))), config)
    assert len(dataset.examples) == 6
    assert "Reviews: no review has a rating, so the filter of reviews by rating is off" in dataset.notes


def test_items_are_joined_as_those_of_the_amazon_releases(tmp_path: Path) -> None:
    rows = [
        {"user": "u", "item": "x", "text": "a", "item_title": "Old", "item_description": "about"},
        {"user": "v", "item": "x", "text": "b", "item_title": "New", "item_description": ""},
        {"user": "w", "item": "x", "text": "c", "item_title": None, "item_description": None},
    ]
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    item = TableSource(TableSource.Config(path=str(path))).load()["Reviews"].items["x"]
    assert (item.title, item.description) == ("New", "about")


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, ".parquet")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DepError, match=r"films\.parquet: expected a whole Parquet file"):
        source(path).load()


def plain(path: Path, **settings: object) -> TableSource:
    return TableSource(TableSource.Config(path=str(path), **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("delimiter", [";", "|", "\t", ","])
def test_a_csv_file_with_a_mark_and_any_delimiter_is_read(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "reviews.csv"
    lines = [["user", "item", "text", "rating"], ["a", "x", '"Yes; no, maybe | so."', '"4,5"'], ["b", "x", "No.", "1"]]
    path.write_text("\n".join(map(delimiter.join, lines)), encoding="utf-8-sig")
    reviews = plain(path).load()["Reviews"].reviews
    assert [(r.user, r.text, r.rating) for r in reviews] == [("a", "Yes; no, maybe | so.", 4.5), ("b", "No.", 1.0)]


def test_rows_of_a_csv_file_are_refused_with_their_reason_and_line(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text('user,item,text\na,x,"two\nlines"\nb,x,a text, with a comma\nc,x\n,x,Good.\nd,x,Good.\n')
    source = plain(path)
    assert [r.user for r in source.load()["Reviews"].reviews] == ["a", "d"]
    log = source.logs[0]
    assert {reason: (r.count, r.first) for reason, r in log.refused.items()} == {
        "have more fields than the header": (1, [4]), "have no text": (1, [5]), "have no user": (1, [6]),
    }  # fmt: skip
    assert (log.rows, log.unit) == (5, "line")
    assert "1 of 5 rows of reviews.csv have more fields than the header and are left out" in source.notes


def test_a_broken_line_of_json_is_an_error_or_is_counted_as_the_setting_says(tmp_path: Path) -> None:
    path = tmp_path / "reviews.jsonl"
    row = json.dumps({"user": "a", "item": "x", "text": "Good."})
    path.write_text(f'{row}\n{{"user": "b", "it\n{row}\n')
    with pytest.raises(DepError, match=r"reviews\.jsonl, line 2: .*mend or remove the line"):
        plain(path).load()
    source = plain(path, skip_broken=True)
    assert len(source.load()["Reviews"].reviews) == 2
    assert source.logs[0].refused["are broken"].first == [2]


def test_parquet_has_nulls_and_dates(tmp_path: Path) -> None:
    path = tmp_path / "reviews.parquet"
    when = datetime(2011, 1, 2, 3, tzinfo=UTC)
    rows = [
        {"user": "a", "item": 3, "text": "Good.", "rating": None, "time": when, "title": None},
        {"user": None, "item": 3, "text": "Bad.", "rating": 1.0, "time": when, "title": "t"},
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    source = plain(path)
    (review,) = source.load()["Reviews"].reviews
    assert (review.item, review.title, review.time) == ("3", "", 1293937200000)
    assert review.rating != review.rating
    assert (source.logs[0].unit, source.logs[0].refused["have no user"].first) == ("row", [2])
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(DepError, match=r"reviews\.parquet: expected a whole Parquet file"):
        source.load()


def test_a_folder_or_a_pattern_is_read_file_by_file(tmp_path: Path) -> None:
    for number in (2, 1):
        (tmp_path / f"part-{number}.csv").write_text(f"user,item,text,extra\nu{number},x,text {number},0\n")
    for settings in ({"folder": str(tmp_path), "path": "part-*.csv"}, {"folder": "", "path": str(tmp_path)}):
        source = TableSource(TableSource.Config(**settings))
        assert [(r.user, r.time) for r in source.load()["Reviews"].reviews] == [("u1", 1000), ("u2", 2000)]
        assert (source.columns, source.unused) == ({"user": "user", "item": "item", "text": "text"}, ["extra"])
    (tmp_path / "more.jsonl").write_text("{}")
    with pytest.raises(DepError, match="expected tables of one format, found CSV and JSON lines"):
        source.load()
    with pytest.raises(DepError, match=r"the folder holds more\.jsonl, part-1\.csv"):
        plain(tmp_path / "absent.csv").load()


def test_other_settings_read_other_reviews_and_change_the_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("user,item,text,title\na,x,Good.,T\n")
    assert plain(path, columns={"title": ""}).load()["Reviews"].reviews[0].title == ""
    assert plain(path, columns={"title": ""}).fingerprint() != plain(path).fingerprint()
    (tmp_path / "moved").mkdir()
    moved = path.rename(tmp_path / "moved" / "reviews.csv")
    assert plain(moved).fingerprint() == TableSource(
        TableSource.Config(folder=str(tmp_path), path="moved/reviews.csv")
    ).fingerprint()  # fmt: skip


@pytest.mark.parametrize("year", ["2011", "2011.0", '" 2011"'])
def test_a_year_is_its_first_day(tmp_path: Path, year: str) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text(f"user,item,text,time\na,x,Good.,{year}\n")
    assert plain(path).load()["Reviews"].reviews[0].time == 1293840000000


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "expected reviews with user, item and text, found no rows"),
        ("header.csv", b"user,item,text\n", "found no rows"),
        ("latin.csv", "user,item,text\na,x,sch\u00f6n\n".encode("latin1"), r"iconv -f latin1 -t utf-8 latin\.csv"),
        ("wide.csv", "user,item,text\na,x,b\n".encode("utf-16"), "iconv -f utf-16"),
        ("bare.csv", b"user,item,text\na,x,\nb,x,\n", "found 2 rows that have no text"),
        ("sheet.xlsx", b"PK", r"expected a \.csv.* found \.xlsx; convert"),
    ],
)
def test_a_file_without_reviews_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DepError, match=message):
        plain(tmp_path / name).load()
