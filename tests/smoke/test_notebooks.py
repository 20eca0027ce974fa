"""The notebooks: each asks a question, runs on a finished run from any folder, and ends with an answer in words."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import IPython.display
import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))


def cells(path: Path, kind: str) -> list[str]:
    """Return the sources of the cells of a kind."""
    notebook = json.loads(path.read_text("utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_asks_a_question_defines_nothing_and_is_stored_without_outputs(path: Path) -> None:
    assert cells(path, "markdown")[0].splitlines()[0].endswith("?")
    notebook = json.loads(path.read_text("utf-8"))
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook["cells"])
    tree = ast.parse("\n".join(cells(path, "code")))
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    assert not any(isinstance(node, defined) for node in ast.walk(tree))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in imported if name.partition(".")[0] in ("dep", "experiments")} == {"dep"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_on_a_finished_run_and_ends_with_an_answer(
    path: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    matplotlib.use("Agg")
    monkeypatch.setenv("DEP_RUN", str(finished / "runs/arms"))
    monkeypatch.chdir(tmp_path)
    shown: list[Any] = []
    monkeypatch.setattr(IPython.display, "display", shown.append)
    names: dict[str, Any] = {}
    for source in cells(path, "code"):
        exec(compile(source, str(path), "exec"), names)
    matplotlib.pyplot.close("all")
    assert len(shown[-1].data) > 80
    assert any(character.isdigit() for character in shown[-1].data)
    assert not list(tmp_path.iterdir())
