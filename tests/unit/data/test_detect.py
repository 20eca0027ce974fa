"""Which source reads a file or folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dep.data.sources.detect import detect
from dep.utils.errors import DepError

OLD = {"reviewerID": "a", "asin": "i", "reviewText": "Good.", "unixReviewTime": 7}


def test_files_named_as_a_release_are_read_as_one_and_others_as_tables(tmp_path: Path) -> None:
    old, new, own = (tmp_path / name for name in ("old", "new", "own"))
    for folder in (old, new, own):
        folder.mkdir()
    (old / "reviews_Toys_5.json").write_text(json.dumps(OLD))
    (new / "Toys.jsonl").write_text("{}")
    (new / "meta_Toys.jsonl").write_text("{}")
    (own / "reviews_mine.json").write_text(json.dumps({"user": "a", "item": "i", "text": "Good."}))
    assert detect(old) == ["source.kind=amazon2014", f"source.folder={old}"]
    assert detect(old / "reviews_Toys_5.json")[2] == "source.categories=[Toys]"
    assert detect(new) == ["source.kind=amazon2023", f"source.folder={new}"]
    assert detect(new / "Toys.jsonl")[2] == "source.categories=[Toys]"
    path = own / "reviews_mine.json"
    assert detect(path) == ["source.kind=table", f"source.path={path}"]
    (own / "reviews.csv").write_text("user,item,text\n")
    path.unlink()
    assert detect(own) == ["source.kind=table", f"source.path={own}"]
    assert detect(own / "*.csv") == ["source.kind=table", f"source.path={own}/*.csv"]


def test_what_holds_no_reviews_is_refused_with_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(DepError, match="the folder is empty"):
        detect(tmp_path)
    (tmp_path / "notes.pdf").touch()
    with pytest.raises(DepError, match=r"the folder holds notes\.pdf"):
        detect(tmp_path / "reviews.csv")
    with pytest.raises(DepError, match=r"found \.pdf; convert or rename"):
        detect(tmp_path / "notes.pdf")
