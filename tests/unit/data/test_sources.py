from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest

from dep.data.sources import DPL, SOURCES, Amazon2014, Amazon2023, PresplitSource
from dep.data.sources.amazon import Amazon


def _write(path: Path, lines: list[Any]) -> None:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)


def _row2014(user: str = "u", item: str = "i", **fields: Any) -> dict[str, Any]:
    row = {
        "reviewerID": user,
        "asin": item,
        "reviewText": "good",
        "overall": 4.0,
        "summary": "s",
        "unixReviewTime": 7,
    }
    return row | fields


def _row2023(user: str = "u", item: str = "i", **fields: Any) -> dict[str, Any]:
    row = {"user_id": user, "parent_asin": item, "text": "good", "rating": 4.0, "title": "s", "timestamp": 7}
    return row | fields


def test_2014_reads_json_and_python_literals_and_turns_seconds_into_milliseconds(tmp_path: Path) -> None:
    _write(tmp_path / "reviews_Toys_5.json.gz", [_row2014("b", "j"), _row2014("a", "i", unixReviewTime=3)])
    literal = "{'asin': 'j', 'title': \"it's\", 'description': 'two', 'price': None}"
    _write(
        tmp_path / "meta_Toys.json",
        [{"asin": "i", "title": "one"}, literal, {"asin": "unreviewed", "title": "x"}],
    )
    corpus = Amazon2014(Amazon2014.Config(folder=str(tmp_path))).load()["Toys"]
    assert [(r.user, r.item, r.time, r.rating, r.title) for r in corpus.reviews] == [
        ("a", "i", 3000, 4.0, "s"),
        ("b", "j", 7000, 4.0, "s"),
    ]
    assert {name: (item.title, item.description) for name, item in corpus.items.items()} == {
        "i": ("one", ""),
        "j": ("it's", "two"),
    }


def test_2014_without_metadata_leaves_titles_empty(tmp_path: Path) -> None:
    _write(tmp_path / "reviews_Toys.json", [_row2014()])
    corpus = Amazon2014(Amazon2014.Config(folder=str(tmp_path), categories=["Toys"])).load()["Toys"]
    assert corpus.items["i"].title == "" == corpus.items["i"].description


@pytest.mark.parametrize("source", [Amazon2014, Amazon2023])
def test_html_is_removed_from_texts_and_titles_where_that_is_asked_for(tmp_path: Path, source: type[Amazon]) -> None:
    text, title = "It&#8217;s 5&#34; long.<br />Good &amp; cheap", "<b>Fine</b>&#46;"
    if source is Amazon2014:
        _write(tmp_path / "reviews_Toys.json", [_row2014(reviewText=text, summary=title)])
        _write(tmp_path / "meta_Toys.json", [{"asin": "i", "title": "A &quot;toy&quot;"}])
    else:
        _write(tmp_path / "Toys.jsonl", [_row2023(text=text, title=title)])
        _write(tmp_path / "meta_Toys.jsonl", [{"parent_asin": "i", "title": "A &quot;toy&quot;"}])
    raw, plain = (source(source.Config(folder=str(tmp_path), strip_html=strip)) for strip in (False, True))
    (as_it_is,), (read,) = (one.load()["Toys"].reviews for one in (raw, plain))
    assert (as_it_is.text, as_it_is.title) == (text, title)
    assert (read.text, read.title) == ('It\u2019s 5" long. Good & cheap', "Fine.")
    assert plain.load()["Toys"].items["i"].title == 'A "toy"'
    assert raw.fingerprint() != plain.fingerprint()


def test_reviews_without_author_text_or_time_are_not_read_and_odd_ratings_are_missing(tmp_path: Path) -> None:
    rows = [
        _row2014("a", reviewText=" "),
        _row2014("b", unixReviewTime=None),
        _row2014(""),
        _row2014("c", overall=10),
    ]
    _write(tmp_path / "reviews_Toys.json", rows)
    reviews = Amazon2014(Amazon2014.Config(folder=str(tmp_path))).load()["Toys"].reviews
    assert [r.user for r in reviews] == ["c"]
    assert math.isnan(reviews[0].rating)


def test_2023_takes_the_parent_and_joins_the_description(tmp_path: Path) -> None:
    _write(tmp_path / "Books.jsonl", [_row2023("b", "p"), _row2023("b", "q", timestamp=5), _row2023("a", "r")])
    _write(
        tmp_path / "meta_Books.jsonl.gz",
        [
            {
                "parent_asin": "p",
                "title": "P",
                "description": ["Product Description", "one", "two"],
                "categories": ["x"],
            },
            {"parent_asin": "q", "title": "Q", "description": [], "rating_number": 3},
            {"parent_asin": "r", "title": "R", "description": ["gone"], "categories": []},
        ],
    )
    corpus = Amazon2023(Amazon2023.Config(folder=str(tmp_path))).load()["Books"]
    assert [(r.user, r.item, r.time) for r in corpus.reviews] == [("a", "r", 7), ("b", "q", 5), ("b", "p", 7)]
    assert [(i.title, i.description) for i in corpus.items.values()] == [
        ("P", "one two"),
        ("Q", ""),
        ("", ""),
    ]


def test_a_missing_file_is_named_with_what_is_there_instead(tmp_path: Path) -> None:
    _write(tmp_path / "Books.jsonl", [_row2023()])
    with pytest.raises(
        FileNotFoundError, match=r"meta_Books\.jsonl, meta_Books\.jsonl\.gz; the folder holds Books\.jsonl"
    ):
        Amazon2023(Amazon2023.Config(folder=str(tmp_path))).load()
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        Amazon2014(Amazon2014.Config(folder=str(tmp_path / "absent"))).load()


def test_two_copies_of_a_file_are_refused(tmp_path: Path) -> None:
    _write(tmp_path / "reviews_Toys.json", [_row2014()])
    _write(tmp_path / "reviews_Toys_5.json.gz", [_row2014()])
    with pytest.raises(ValueError, match="keep one of them"):
        Amazon2014(Amazon2014.Config(folder=str(tmp_path))).load()


@pytest.mark.parametrize("bad", ["[1, 2]", "{half", "7"])
def test_a_bad_line_is_named(tmp_path: Path, bad: str) -> None:
    _write(tmp_path / "reviews_Toys.json", [_row2014(), bad])
    with pytest.raises(ValueError, match=r"reviews_Toys\.json, line 2"):
        Amazon2014(Amazon2014.Config(folder=str(tmp_path))).load()


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    whole = gzip.compress("".join(json.dumps(_row2014(f"u{n}")) + "\n" for n in range(500)).encode())
    (tmp_path / "reviews_Toys.json.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"reviews_Toys\.json\.gz, after line"):
        Amazon2014(Amazon2014.Config(folder=str(tmp_path))).load()


def test_the_fingerprint_follows_content_and_not_the_folder(tmp_path: Path) -> None:
    prints = []
    for name, text in (("one", "good"), ("two", "good"), ("three", "bad")):
        (tmp_path / name).mkdir()
        _write(tmp_path / name / "reviews_Toys.json", [_row2014(reviewText=text)])
        prints.append(Amazon2014(Amazon2014.Config(folder=str(tmp_path / name))).fingerprint())
    assert prints[0] == prints[1] != prints[2]


def test_the_real_2014_files_have_the_documented_sizes(shared_data: Path) -> None:
    for name, category, sizes, titled in (
        # One review and seven have no text; the one is its author's only one.
        ("digital_music", "Digital_Music", (6908 - 1, 2490 - 1, 382), 382),
        ("musical_instruments", "Musical_Instruments", (10261 - 7, 1429, 900), 0),
    ):
        corpus = Amazon2014(Amazon2014.Config(folder=str(shared_data / f"amazon2014_{name}"))).load()[category]
        assert (len(corpus.reviews), len({r.user for r in corpus.reviews}), len(corpus.items)) == sizes
        assert sum(bool(item.title) for item in corpus.items.values()) == titled
        assert corpus.reviews == sorted(corpus.reviews, key=lambda r: (r.user, r.time, r.item))
        assert min(r.time for r in corpus.reviews) > 8e11, "milliseconds"


def _published(users: int = 2) -> tuple[dict[str, list[dict[str, Any]]], list[dict[str, Any]]]:
    """Splits of the published schema: users with five reviews, two of them training targets."""
    main: dict[str, list[dict[str, Any]]] = {"train": [], "val": [], "test": []}
    for user in range(users):
        written = [
            {
                "asin": f"i{n}",
                "title": f"t{n}",
                "timestamp": 1000 + n,
                "rating": 4.0,
                "text": f"u{user} on {n}",
            }
            for n in range(5)
        ]
        for split, at in (("train", 1), ("train", 2), ("val", 3), ("test", 4)):
            main[split].append({"user_id": f"u{user}", "profile": written[:at], "data": written[at]})
    meta = [{"asin": f"i{n}", "title": f"item {n}", "description": f"about {n}"} for n in range(6)]
    return main, meta


def _save(folder: Path, splits: dict[str, list[dict[str, Any]]], to_disk: bool) -> None:
    if to_disk:
        import datasets

        saved = datasets.DatasetDict({name: datasets.Dataset.from_list(rows) for name, rows in splits.items()})
        saved.save_to_disk(str(folder / "Books"))
    else:
        (folder / "Books").mkdir(parents=True)
        for name, rows in splits.items():
            _write(folder / "Books" / f"{name}.jsonl", rows)


@pytest.fixture
def datasets_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


@pytest.mark.usefixtures("datasets_cache")
def test_dpl_reads_the_published_split_the_same_from_jsonl_and_from_disk(tmp_path: Path) -> None:
    main, meta = _published()
    found = []
    for name, to_disk in (("files", False), ("disk", True)):
        _save(tmp_path / name / "main", main, to_disk)
        _save(tmp_path / name / "meta", {"full": meta}, to_disk)
        config = DPL.Config(
            main=str(tmp_path / name / "main"), meta=str(tmp_path / name / "meta"), categories=["Books"]
        )
        found.append(DPL(config))
    corpus = found[0].load()["Books"]
    assert [(r.user, r.item, r.time, r.text) for r in corpus.reviews] == [
        (f"u{user}", f"i{n}", 1000 + n, f"u{user} on {n}") for user in range(2) for n in range(5)
    ]
    assert corpus.items["i3"].description == "about 3"
    assert set(corpus.items) == {f"i{n}" for n in range(5)}
    assert [(e.split, e.row, e.profile) for e in found[0].examples()] == [
        ("train", 1, (0,)),
        ("train", 2, (0, 1)),
        ("train", 6, (5,)),
        ("train", 7, (5, 6)),
        ("val", 3, (0, 1, 2)),
        ("val", 8, (5, 6, 7)),
        ("test", 4, (0, 1, 2, 3)),
        ("test", 9, (5, 6, 7, 8)),
    ]
    assert found[0].fingerprint() == found[1].fingerprint()


@pytest.mark.usefixtures("datasets_cache")
def test_dpl_names_a_missing_split_and_a_missing_column(tmp_path: Path) -> None:
    main, _ = _published()
    _save(tmp_path / "main", {"train": main["train"], "val": main["val"]}, to_disk=False)
    _save(tmp_path / "meta", {"full": [{"asin": "i0", "name": "x"}]}, to_disk=False)
    source = DPL(DPL.Config(main=str(tmp_path / "main"), meta=str(tmp_path / "meta"), categories=["Books"]))
    with pytest.raises(FileNotFoundError, match=r"no test\*\.parquet or test\*\.jsonl; the folder holds train\.jsonl"):
        source.load()
    _write(tmp_path / "main" / "Books" / "test.jsonl", main["test"])
    with pytest.raises(ValueError, match="title, description missing"):
        source.load()


def test_dpl_without_the_hub_says_how_to_supply_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach the hub\nsecond line")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(FileNotFoundError) as raised:
        DPL(DPL.Config(allow_download=True)).load()
    message = str(raised.value)
    assert "SnowCharmQ/DPL-main" in message
    assert "Without the hub, name local copies" in message
    assert "\n" not in message


def test_dpl_asks_no_hub_unless_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(FileNotFoundError, match=r"source\.main.*source\.allow_download=true") as raised:
        DPL(DPL.Config()).load()
    assert "\n" not in str(raised.value)


def test_only_dpl_comes_split() -> None:
    sources = {
        "amazon2014": Amazon2014(Amazon2014.Config(folder="")),
        "amazon2023": Amazon2023(Amazon2023.Config(folder="")),
    }
    assert not any(isinstance(source, PresplitSource) for source in sources.values())
    assert isinstance(DPL(DPL.Config()), PresplitSource)
    assert {"amazon2014", "amazon2023", "dpl"} <= set(SOURCES)


@pytest.mark.usefixtures("datasets_cache")
def test_dpl_keeps_two_reviews_of_one_item_apart_and_no_target_stands_in_its_profile(tmp_path: Path) -> None:
    def entry(item: str, time: int, text: str, rating: float | None = 5.0) -> dict:
        return {"asin": item, "title": "t", "timestamp": time, "rating": rating, "text": text}

    older, newer, other = entry("i", 1, "older"), entry("i", 3, "newer"), entry("j", 2, "other", None)
    rows = [{"user_id": "u", "profile": [older, other], "data": newer}]
    leaky = [{"user_id": "v", "profile": [older, newer | {"text": " newer "}], "data": newer}]
    main = {"train": rows, "val": leaky, "test": rows}
    _save(tmp_path / "main", main, to_disk=False)
    meta = [{"asin": name, "title": name, "description": "d"} for name in ("i", "j")]
    _save(tmp_path / "meta", {"full": meta}, to_disk=False)
    source = DPL(DPL.Config(main=str(tmp_path / "main"), meta=str(tmp_path / "meta"), categories=["Books"]))
    reviews = source.load()["Books"].reviews
    for example in source.examples():
        assert reviews[example.row].text == "newer"
        assert example.row not in example.profile
    assert {tuple(reviews[row].text for row in e.profile) for e in source.examples()} == {
        ("older", "other"), ("older",),
    }  # fmt: skip
    assert source.notes == [
        "Books: 1 of 6 reviews have no rating from 1 to 5",
        "Books: the profiles of 1 examples held the review to write; it is left out of them",
    ]
