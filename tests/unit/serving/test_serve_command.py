"""`dep serve` as a process: its settings, SIGKILL, SIGTERM, and the lines of docs/serve.md."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import openai
import pytest

import dep
from dep.pipeline.personalizer import Personalizer
from dep.serving.settings import KEY_VARIABLE, ServeConfig, parse, read_key
from dep.store.reviews import StoredReview
from dep.utils.errors import DepError
from experiments.serving.kill import kill
from experiments.serving.kill_update import kill_update
from experiments.serving.world import World

DOCS = Path(__file__).resolve().parents[3] / "docs" / "serve.md"


def test_settings_are_checked() -> None:
    assert parse(["port=1234", "rows=2"]) == ServeConfig(port=1234, rows=2)
    for word, found in (("prot=1", "prot"), ("port=x", "port"), ("rows=0", "1 or more")):
        with pytest.raises(DepError, match=found):
            parse([word])


def test_a_key_comes_from_a_file_or_the_environment_and_is_needed_beyond_loopback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert read_key(ServeConfig()) == ""
    with pytest.raises(DepError, match="others than this machine"):
        read_key(ServeConfig(host="0.0.0.0"))
    path = tmp_path / "key"
    path.write_text("of the file\n")
    assert read_key(ServeConfig(host="0.0.0.0", key_file=str(path))) == "of the file"
    path.write_text("\n")
    with pytest.raises(DepError, match="key_file"):
        read_key(ServeConfig(key_file=str(path)))
    monkeypatch.setenv(KEY_VARIABLE, "of the environment")
    assert read_key(ServeConfig()) == "of the environment"


@pytest.mark.slow
def test_a_killed_server_leaves_a_whole_store_and_a_terminated_one_answers_first(world: World, tmp_path: Path) -> None:
    found = kill(world, tmp_path, posts=3)
    assert found.acknowledged >= 9
    assert (found.lost, found.torn, found.unequal, found.served) == (0, 0, 0, True)
    assert found.in_flight > 0
    assert (found.answered, found.exit_code) == (found.in_flight, 0)


def test_a_killed_update_leaves_whole_batches_and_the_same_command_completes_it(world: World, tmp_path: Path) -> None:
    found = kill_update(world, tmp_path, batches=1)
    assert 512 <= found.kept <= found.reviews
    assert (found.torn, found.wrong, found.unequal) == (0, 0, 0)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_lines_of_the_documentation_run_as_written(start: Callable[[str], str], tmp_path: Path) -> None:
    url, blocks = start(""), re.findall(r"```bash\n(curl .*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 8
    (lines,) = re.findall(r"```json\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "reviews.jsonl").write_text(
        lines + lines.replace("harp", "horn").replace("}", ', "item_description": ""}')
    )
    python = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    failing = 'set -e; curl() { command curl --fail-with-body -s "$@"; }\n'  # a refusal ends the script
    for block in blocks:
        assert "http://127.0.0.1:8000" in block
        script = failing + block.replace("http://127.0.0.1:8000", url)
        done = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
        assert done.stdout.strip()
        if '"ann", "item"' in block:  # before ann is deleted
            for lines in python:
                assert "http://127.0.0.1:8000" in lines
                lines = lines.replace("http://127.0.0.1:8000", url)
                exec(compile(lines, "docs/serve.md", "exec"), {"openai": openai})


def test_the_settings_in_the_documentation_are_known() -> None:
    lines = re.findall(r"^dep serve (.*)$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(lines) == 2
    assert all(parse(line.split()[1:]).store for line in lines)


def test_the_python_of_a_store_runs_as_written_in_the_documentation(
    personalizer: Personalizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(personalizer, "_store", personalizer.store)
    monkeypatch.setattr(personalizer._requests, "users", personalizer._requests.users)
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    names = {"dep": dep, "p": personalizer}
    for page, path, user in (("store.md", "runs/demo/store.sqlite", "bob"), ("library.md", "store.sqlite", "ann")):
        with personalizer.open_store(path, create=True) as made:
            row = StoredReview("Music", user, "B02", "A flute", "", "Thin.", 2.0, "", 1)
            made.add([row], personalizer.embed([row.text]))
        text = (DOCS.parent / page).read_text(encoding="utf-8")
        (lines,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "PeerIndex" in block]
        exec(compile(lines, page, "exec"), names)
        assert personalizer.store is names["index"]
        names["index"].close()
