"""The files of phrases: every wrong line is named, and what is there is enough."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dep.data.synthetic.english.lexicon import CATEGORIES, FOLDER, load
from dep.utils.errors import DepError

HERE = [name for name in CATEGORIES.values() if (FOLDER / name).is_dir()]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copytree(FOLDER, tmp_path / "phrases")
    return tmp_path / "phrases"


@pytest.mark.parametrize("name", HERE)
def test_every_line_of_the_built_in_categories_passes_the_checks(name: str) -> None:
    assert load(FOLDER, name).distinct > 500


def test_there_are_thousands_of_phrases_written_by_hand() -> None:
    lines = {
        line
        for path in FOLDER.rglob("*.txt")
        for line in path.read_text(encoding="utf-8").split("\n")
        if line and not line.startswith(("#", "[", "=="))
    }
    assert len(lines) > 6_000


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("verdicts.txt", "it has {nothing} to say", "{nothing}"),
        ("verdicts.txt", "it has a } too many", "braces"),
        ("verdicts.txt", "it has two  blanks", "blanks"),
        ("verdicts.txt", "It lacks an end mark", "small letter"),
        ("verdicts.txt", "it lacks a capital.", "capital"),
        ("verdicts.txt", "it trails off...", "ellipses"),
        ("verdicts.txt", "it is SHOUTED at me", "capitals"),
        ("verdicts.txt", "it has a curly ’ in it", "plain letters"),
        ("verdicts.txt", "this is the best {noun} I have read in years", "nowhere else"),
        ("verdicts.txt", "[6]", "6"),
        ("closings.txt", "[giddy]", "giddy"),
        ("items.txt", "[colours]", "nouns"),
        ("items.txt", "[titles]\nThe {noun}", "{noun}"),
        ("fillers.txt", "[shade person]", "scope"),
        ("titles.txt", "A title.", "full stop"),
        ("points/look.txt", "* no sign", "+ -"),
        ("points/look.txt", "== Print", "lower-case"),
    ],
)
def test_a_wrong_line_is_named_with_its_file_and_number(root: Path, file: str, line: str, message: str) -> None:
    path = root / "books" / file
    before = path.read_text(encoding="utf-8").rstrip("\n")
    wrong = line + ("\nwords below it" if line.startswith("[") and "\n" not in line else "")
    path.write_text(f"{before}\n{wrong}\n", encoding="utf-8")
    with pytest.raises(DepError) as error:
        load(root, "books")
    number = len(before.split("\n")) + 1 + ("\n" in wrong)
    assert str(error.value).startswith(f"books/{file}, line {number}: expected ")
    assert message in str(error.value)


def test_missing_phrases_of_a_class_are_named(root: Path) -> None:
    for part in ("books", "common"):
        (root / part / "verdicts.txt").write_text("[1 2 3 4]\nit is one\nit is two\nit is three\n[5 dry]\nit is five\n")
        if part == "common":
            (root / part / "verdicts.txt").unlink()
    with pytest.raises(DepError, match=r"books/verdicts.txt: expected at least 3 .* 5 stars in the tone dry, found 1"):
        load(root, "books")


def test_a_point_without_enough_blame_is_named(root: Path) -> None:
    path = root / "books/points/look.txt"
    with path.open("a", encoding="utf-8") as file:
        file.write("\n== ribbon\n+ the ribbon is red\n+ it comes with a ribbon\n+ the ribbon keeps my place\n")
    with pytest.raises(DepError, match=r"point ribbon to have 3 lines of sign - without a tone, found 0"):
        load(root, "books")


def test_all_wrong_lines_are_noted_before_the_first_is_raised(root: Path) -> None:
    with (root / "books/asides.txt").open("a", encoding="utf-8") as file:
        file.write("It lacks an end\nit has a {hole}\n")
    noted: list[DepError] = []
    with pytest.raises(DepError):
        load(root, "books", noted.append)
    assert len(noted) == 2
