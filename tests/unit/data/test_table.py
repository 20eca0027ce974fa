"""A table of reviews under column names of one's own."""

from __future__ import annotations

import csv
import json
import lzma
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
