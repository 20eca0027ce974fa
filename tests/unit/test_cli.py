"""What the command line says when something is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from dep import cli

CONF = Path(__file__).resolve().parents[2] / "conf"


def test_without_a_file_it_asks_for_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run"]) == 2
    assert "expected a configuration file, as in `dep run conf/demo.yaml`" in capsys.readouterr().err


def test_the_paper_s_recipe_without_its_data_ends_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", str(CONF / "paper.yaml")]) == 2
    said = capsys.readouterr().err.strip()
    assert "\n" not in said
    assert "source.main" in said
    assert "'SnowCharmQ/DPL-main' is not a folder here" in said


@pytest.mark.parametrize(
    ("package", "expected"),
    [("peft.tuners", r"package peft, .*'.\[lora\]'"), ("nowhere", "make install-dev")],
)
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, package: str, expected: str
) -> None:
    import re

    def missing(*_: object) -> int:
        raise ModuleNotFoundError(f"No module named '{package}'", name=package)

    monkeypatch.setattr(cli, "_run", missing)
    assert cli.main(["run", "conf/demo.yaml"]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert re.search(expected, said)
