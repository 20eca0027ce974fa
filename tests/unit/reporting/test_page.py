"""Tests of report.html and report.md."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dep.reporting import print_costs, print_table, write_report
from dep.reporting.cost_table import HEADS

Make = Callable[..., dict[str, Any]]
FREE = {"trains": False, "prompt_tokens": 99.0, "calls": 1.0}
"""Costs of an arm that trains nothing."""


def test_the_page_shows_every_method_category_and_setting(run_dir: Path, parse: type, labels: dict[str, str]) -> None:
    path = write_report(run_dir)
    page = parse(path.read_text())
    assert path == run_dir / "report.html"
    for expected in (
        *labels.values(),
        "Books",
        "Digital Music",
        "dep run conf/demo.yaml",
        "0:03:12",
        "train.schedule",
        "1,120",
    ):
        assert expected in page.text
    assert len(page.ids) == len(set(page.ids))
    assert not list(run_dir.glob("*.tmp"))


def test_each_category_has_a_button_for_its_own_panel(run_dir: Path, parse: type) -> None:
    page = parse(write_report(run_dir).read_text())
    controlled = [value for name, value in page.attributes if name == "aria-controls"]
    assert len(controlled) == 3
    assert set(controlled) <= set(page.ids)


def test_a_script_in_a_review_is_escaped(run_dir: Path, parse: type) -> None:
    html = write_report(run_dir).read_text()
    page = parse(html)
    assert page.tags["script"] == 1  # ours
    assert "<script>alert" not in html
    assert html.count("&lt;script&gt;alert") >= 8
    assert "{{ 7 * 7 }}" in page.text


def test_the_page_loads_nothing_from_outside(run_dir: Path, parse: type) -> None:
    html = write_report(run_dir).read_text()
    page = parse(html)
    assert not re.search(r"https?:|//\w|url\(|@import", html)
    assert not page.tags.keys() & {"link", "img", "iframe", "object", "embed"}
    linked = [value or "" for name, value in page.attributes if name in ("href", "src")]
    assert linked
    assert all((run_dir / name).is_file() for name in linked)
    assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_markdown_shows_the_text_of_a_review_unchanged(run_dir: Path, metrics: list[str]) -> None:
    write_report(run_dir)
    text = (run_dir / "report.md").read_text()
    assert "<script>" not in text
    assert "**bold**" not in text
    assert "| RAG |" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    cells = {line.replace("\\|", "").count("|") for line in tables}
    assert cells == {len(metrics) + 2, len(HEADS) + 1, 10}


def test_costs_are_shown_on_the_page_in_markdown_and_in_the_terminal(run_dir: Path, labels: dict[str, str]) -> None:
    write_report(run_dir)
    costs = json.loads((run_dir / "run.json").read_text())["costs"]
    console = Console(width=100, file=io.StringIO())
    print_costs(costs, console, labels)
    assert isinstance(console.file, io.StringIO)
    for text in ((run_dir / "report.html").read_text(), (run_dir / "report.md").read_text(), console.file.getvalue()):
        assert "What each method costs" in text
        for cell in ("41,216", "1.3%", "310", "0.71", "6,144", "none", "2.5"):
            assert cell in text


def test_a_report_needs_only_the_results(run_dir: Path, tmp_path: Path, parse: type, row: Make) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    rows = [row("dep", "all", "nll", 0.5, 0)]
    (bare / "results.json").write_text(json.dumps({"rows": rows, "comparisons": []}))
    assert "0.5000" in parse(write_report(bare).read_text()).text


def test_without_a_showcase_the_page_shows_predictions(run_dir: Path, parse: type, attack: str) -> None:
    (run_dir / "showcase.json").unlink()
    text = parse(write_report(run_dir).read_text()).text
    assert f"constant {attack}" in text
    assert "True:" in text


def test_the_errors_for_missing_and_empty_results_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"results\.json.*dep report"):
        write_report(tmp_path)
    (tmp_path / "results.json").write_text('{"rows": []}')
    with pytest.raises(ValueError, match="expected `rows`, found none"):
        write_report(tmp_path)


def test_a_warning_precedes_all_numbers(run_dir: Path, parse: type, attack: str) -> None:
    path = run_dir / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"warning": f"Know this: {attack}"}))
    write_report(run_dir)
    html, markdown = ((run_dir / f"report.{kind}").read_text() for kind in ("html", "md"))
    assert html.index("Know this") < html.index("Results")
    assert markdown.index("Know this") < markdown.index("All categories")
    parse(html)
    assert "<script>alert" not in html + markdown


def test_two_arms_with_one_label_are_shown_with_their_names(run_dir: Path, row: Make, comparison: Make) -> None:
    rows = [row(arm, "all", "nll", value, 0) | {"label": "DEP"} for arm, value in (("first", 0.5), ("second", 0.6))]
    results = {"rows": rows, "comparisons": [comparison("nll", -0.1, 0.01, 0.001) | {"a": "first", "b": "second"}]}
    (run_dir / "results.json").write_text(json.dumps(results))
    write_report(run_dir)
    console = Console(file=io.StringIO(), width=100)
    print_table(results, console)
    print_costs(dict.fromkeys(("first", "second"), FREE), console, {"first": "DEP", "second": "DEP"})
    assert isinstance(console.file, io.StringIO)
    for text in ((run_dir / "report.html").read_text(), (run_dir / "report.md").read_text(), console.file.getvalue()):
        assert "DEP (first)" in text
        assert "DEP (second)" in text
        assert "0.6000" in text
