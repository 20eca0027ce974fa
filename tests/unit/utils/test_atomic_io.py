from __future__ import annotations

from pathlib import Path

import pytest

from dep.utils.atomic_io import read_json, read_rows, replacing, write_json, write_rows, write_text


def test_an_error_while_writing_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_replaces_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "below" / "folder"
    for name in ("old", "new"):
        with replacing(path) as temporary:
            temporary.mkdir()
            (temporary / name).touch()
    assert [entry.name for entry in path.iterdir()] == ["new"]
    assert list(path.parent.iterdir()) == [path]


def test_json_and_rows_are_read_as_written(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "é"})
    assert read_json(tmp_path / "a.json") == {"name": "é"}
    assert read_json(tmp_path / "none.json") == {}
    write_rows(tmp_path / "a.jsonl", [{"a": 1}, {"a": 2}])
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write('{"a": ')
    assert read_rows(tmp_path / "a.jsonl") == [{"a": 1}, {"a": 2}]
