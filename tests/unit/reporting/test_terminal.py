"""Tests of the output in the terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from dep.reporting import print_table
from dep.reporting.tables import metrics_of, title


@pytest.mark.parametrize("width", [160, 100, 80])
def test_the_terminal_shows_every_method_and_verdict(
    width: int, results: dict[str, Any], labels: dict[str, str]
) -> None:
    console = Console(file=io.StringIO(), width=width)
    print_table(results, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    assert all(word in text.split() for method in labels.values() for word in method.split())
    assert all(title(metric) in text for metric in metrics_of(results))
    assert "…" not in text
    assert ("0.343–0.365" in text) == (width == 160)
    assert "DEP − RAG" in text
    assert "better, uncorrected" in text
