"""Messages and exit codes of the command line."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from dep import cli
from dep.commands.base import Command
from dep.config.loader import load_arms

CONF = Path(__file__).resolve().parents[2] / "conf"


def test_without_a_configuration_the_command_asks_for_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run"]) == 2
    assert "expected a configuration, found none; name one, as in `dep run demo`" in capsys.readouterr().err


def test_the_paper_s_recipe_without_its_data_prints_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", str(CONF / "paper.yaml")]) == 2
    message = capsys.readouterr().err.strip()
    assert "\n" not in message
    assert "source.main" in message
    assert "'SnowCharmQ/DPL-main' is not a folder here" in message


@pytest.mark.parametrize(
    ("package", "expected"),
    [("datasets.load", r"package datasets, .*'.\[data\]'"), ("openai", r"package openai, .*'.\[endpoint\]'")],
)
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, package: str, expected: str
) -> None:
    import re

    def missing(*_: object) -> int:
        raise ModuleNotFoundError(f"No module named '{package}'", name=package)

    monkeypatch.setattr("dep.commands.run.main", missing)
    assert cli.main(["run", "conf/demo.yaml"]) == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    assert re.search(expected, message)


def _run_raising(error: Exception, monkeypatch: pytest.MonkeyPatch) -> int:
    def fail(_: Command) -> None:
        raise error

    monkeypatch.setattr("dep.commands.run.main", fail)
    return cli.main(["run", "demo"])


def test_a_bug_shows_its_traceback_and_a_mistake_of_the_user_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(_: Command) -> None:
        raise ValueError("a tensor of the wrong shape")

    monkeypatch.setattr("dep.commands.run.main", bug)
    with pytest.raises(ValueError, match="wrong shape"):
        cli.main(["run", "demo"])
    for error in (FileNotFoundError(2, "no such file", "x"), ModuleNotFoundError("No module", name="dep.nowhere")):
        with pytest.raises(type(error)):
            _run_raising(error, monkeypatch)
    assert _run_raising(OSError(28, "No space left on device", "cache/x"), monkeypatch) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert cli.main(["prepare", "demo", "protocol.test_examples=0"]) == 2
    message = capsys.readouterr().err
    assert message.strip().count("\n") == 0
    assert "protocol.test_examples: expected 1 or more, found 0" in message


def test_every_verb_of_the_table_has_a_module_with_a_main() -> None:
    for name, verb in cli.VERBS.items():
        assert callable(import_module(verb.module).main), name


def test_a_configuration_is_found_by_its_name_in_a_folder_without_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run, arms = load_arms(["demo"], ["seeds=[3]"])
    assert (run.name, run.seeds) == ("demo", [3])
    assert list(arms) == ["non_perso", "rag", "constant_notext", "dep_notext", "constant", "dep"]
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "demo.yaml").write_text("name: mine\nmethod: {kind: rag}\n")
    assert load_arms(["demo"])[0].name == "mine"


HEAVY = "torch transformers lightning sklearn scipy numba pyarrow pandas sentence_transformers datasets nltk".split()


@pytest.mark.parametrize(
    "words", [["demo", "trian.lr=1"], ["demo", "train.lr=fast"], ["demmo"], ["demo", "arms=[ragg]"]]
)
def test_a_wrong_setting_is_refused_before_any_large_library_is_imported(words: list[str]) -> None:
    code = (
        f"import sys; from dep import cli; code = cli.main(['run', *{words!r}]); "
        f"print(code, sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2 []", done.stdout + done.stderr
