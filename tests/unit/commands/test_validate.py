"""`dep validate` on files as people have them: what it prints, its exit code, and that the next command works."""

from __future__ import annotations

import csv
import json
import random
import shlex
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dep import cli

WORDS = "good bad slow plain book music film story ending sound light loud quiet dull bright long short very".split()
Rows = list[dict[str, Any]]


def reviews(users: int = 24, items: int = 20, each: int = 8) -> Rows:
    """Users with five favourite words each, who review some of the items."""
    rng = random.Random(0)
    rows = []
    for user in range(users):
        own = random.Random(user).sample(WORDS, 5)
        for item in rng.sample(range(items), each):
            text = " ".join(rng.choice(own if rng.random() < 0.6 else WORDS) for _ in range(15))
            rows.append({"user": f"u{user}", "item": f"i{item}", "text": text})
    return rows


def write(path: Path, rows: Rows, delimiter: str = ",", encoding: str = "utf-8") -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path
    if path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
        return path
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs a verb in an empty folder: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def call(*words: str) -> tuple[int, str, str]:
        code = cli.main(list(words))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def next_command(output: str) -> list[str]:
    command = output.partition("\nnext ")[2].partition("and then the same")[0]
    return shlex.split(command.replace("\\\n", " "))[1:]


def renamed(rows: Rows, **names: str) -> Rows:
    return [{names.get(key, key): value for key, value in row.items()} for row in rows]


def test_a_table_without_ratings_gets_all_tables_a_verdict_and_a_command_that_works(run: Any, tmp_path: Path) -> None:
    write(tmp_path / "reviews.csv", reviews())
    code, out, _ = run("validate", "reviews.csv", "--json", "found.json")
    assert code == 0
    for part in (
        "192 by 24 users of 20 items", "ratings       none", "none, so a user's reviews count as written",
        "The file has no rating, title, time", "min_text_chars=40", "Personalisation has a good chance",
    ):  # fmt: skip
        assert part in out, part
    command = next_command(out)
    assert command == ["prepare", "own_data", "source.path=reviews.csv"]
    code, prepared, _ = run(*command)
    assert code == 0
    assert "192 reviews, 24 users, 20 items" in prepared
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["survey"]["users"] == 24
    assert found["steps"][-1]["users"] == 24
    assert found["verdict"]["level"] == "good"
    assert [row["vectors"] for row in found["probe"]["rows"]] == ["his", "diff", "both"]
    assert shlex.split(found["command"])[1:] == command


def test_unusual_columns_are_guessed_said_and_named_in_the_next_command(run: Any, tmp_path: Path) -> None:
    rows = [row | {"Stars": f"{n % 9 + 1},0", "When": "24.07.2010", "likes": 3} for n, row in enumerate(reviews())]
    named = renamed(rows, user="Author", item="Film seen", text="Review body")
    write(tmp_path / "filme.csv", named, ";", "utf-8-sig")
    code, out, _ = run("validate", "filme.csv", "source.columns.item=Film seen")
    assert code == 0
    assert "CSV, fields divided by ;" in out
    assert "guessed by its name" in out
    assert "Not used: likes." in out
    assert "2010-07-24 to 2010-07-24" in out
    assert "(scaled from 1 to 10)" in " ".join(out.split())
    command = next_command(out)
    assert {"source.columns.user=Author", "source.rating_max=10", "source.columns.item=Film seen"} <= set(command)
    assert run(*command)[0] == 0


def test_a_broken_line_is_counted_and_the_next_command_passes_over_it(run: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "reviews.jsonl", reviews())
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], '{"user": "u0", "it', *lines[2:]]))
    code, out, _ = run("validate", "reviews.jsonl")
    assert code == 0
    assert "rows that are broken: 1 (line 3)" in out
    command = next_command(out)
    assert "source.skip_broken=true" in command
    assert run(*command)[0] == 0


def test_a_parquet_file_with_nulls_says_which_rows_are_refused(run: Any, tmp_path: Path) -> None:
    rows: Rows = [row | {"rating": None if n % 4 else 5.0, "title": None} for n, row in enumerate(reviews())]
    for at in (0, 50):
        rows[at]["text"] = None
    write(tmp_path / "reviews.parquet", [row | {"": 0} for row in rows])
    code, out, _ = run("validate", "reviews.parquet")
    assert code == 0
    assert "rows that have no text: 2 (rows 1, 51)" in out
    assert "no rating: 143 of 190 reviews (75%)" in " ".join(out.split())
    assert "Not used: (unnamed)." in out


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([row | {"user": "ann"} for row in reviews()], "all reviews are by one user"),
        ([row | {"item": f"i{n}"} for n, row in enumerate(reviews())], "no item has two reviewers"),
        ([row | {"item": "x"} for row in reviews()], "all reviews are of one item"),
        (reviews(each=2), "too few users have four or more reviews"),
    ],
    ids=["one user", "no peers", "one item", "few reviews"],
)
def test_reviews_that_nothing_can_be_made_of_are_shown_and_refused(
    run: Any, tmp_path: Path, rows: Rows, why: str
) -> None:
    write(tmp_path / "reviews.csv", rows)
    code, out, err = run("validate", "reviews.csv")
    assert code == 2
    assert "What each filter leaves" in out
    assert why in " ".join(out.split())
    assert "\nnext" not in out
    assert err.strip().count("\n") == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "expected reviews, one a row, found no rows"),
        ("odd.csv", b"a,b\n1,2\n", "none that can be guessed for user and item and text among a, b"),
        ("bare.csv", b"u1,i1," + b"good " * 9 + b"\nu2,i1,fine\n", "the first line must name the columns"),
        ("latin.csv", "user,item,text\na,x,sch\u00f6n\n".encode("latin1"), "iconv -f latin1"),
        ("gone.csv", None, "expected a file or folder of reviews"),
    ],
)
def test_a_file_without_reviews_is_refused_in_one_line(
    run: Any, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    code, out, err = run("validate", name)
    assert (code, out) == (2, "")
    assert message in err
    assert err.strip().count("\n") == 0


def test_filters_that_leave_nobody_are_loosened_in_the_next_command(run: Any, tmp_path: Path) -> None:
    write(tmp_path / "reviews.csv", [row | {"text": row["text"][:12]} for row in reviews(each=5)])
    code, out, _ = run("validate", "reviews.csv")
    assert code == 0
    assert "These filters leave nobody" in out
    command = next_command(out)
    assert "protocol.min_text_chars=1" in command
    assert run(*command)[0] == 0


def test_categories_too_small_to_stand_alone_are_merged_in_the_next_command(run: Any, tmp_path: Path) -> None:
    rows = [row | {"category": "Rare" if n < 2 else "Usual"} for n, row in enumerate(reviews())]
    write(tmp_path / "reviews.csv", rows)
    code, out, _ = run("validate", "reviews.csv")
    assert code == 0
    command = next_command(out)
    assert "source.columns.category=" in command
    assert run(*command)[0] == 0


def test_a_configuration_keeps_its_columns_and_filters(run: Any, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "reviews.csv", renamed(reviews(), user="a", item="b", text="c"))
    (tmp_path / "mine.yaml").write_text(
        "base: []\nsource: {kind: table, path: x.csv, columns: {user: a, item: b, text: c}}\n"
        "protocol: {min_text_chars: 5, min_description_chars: 0, min_user_reviews: 8, min_item_reviewers: 2,\n"
        "  min_profile_reviewers: 1, min_profile: 1, train_targets: 4}\n"
    )
    code, out, _ = run("validate", "data", "mine.yaml")
    assert code == 0
    assert "min_text_chars=5" in out
    assert next_command(out)[:2] == ["prepare", "mine.yaml"]
    code, _, err = run("validate", "data", "mine.yaml", "data/reviews.csv")
    assert code == 2
    assert "expected one file or folder" in err


def test_only_validate_writes_json_and_it_asks_for_a_file(run: Any) -> None:
    with pytest.raises(SystemExit):
        run("prepare", "demo", "--json", "x.json")
    code, _, err = run("validate")
    assert code == 2
    assert "as in `dep validate reviews.csv`" in err


def test_the_built_in_world_can_be_validated_too(run: Any) -> None:
    code, out, _ = run("validate", "synthetic", "source.users=20", "source.circles=2", "protocol.min_user_reviews=8")
    assert code == 0
    assert "min_text_chars=40" in out


def test_a_category_that_nobody_of_passes_is_said(run: Any, tmp_path: Path) -> None:
    for name, rows in (("A", reviews()), ("B", reviews(users=2, each=2))):
        content = [
            {"reviewerID": r["user"], "asin": r["item"], "reviewText": r["text"], "unixReviewTime": n, "overall": 5.0}
            for n, r in enumerate(rows, 1)
        ]
        (tmp_path / f"reviews_{name}.json").write_text("\n".join(map(json.dumps, content)))
    code, out, _ = run("validate", ".")
    assert code == 2
    assert "as published in 2014" in out
    assert "nobody passes the filters in B; source.categories=[A] leaves that out" in " ".join(out.split())
    assert run("validate", ".", "source.categories=[A]")[0] == 0
    code, out, _ = run("validate", "reviews_A.json", "source.kind=table")
    assert code == 0
    assert "guessed by its name" in out
    assert run(*next_command(out))[0] == 0
    code, out, _ = run("validate", "reviews_A.json")
    assert code == 0
    assert run(*next_command(out))[0] == 0
