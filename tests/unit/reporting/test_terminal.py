"""Tests of the output in the terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from dep.reporting import print_table


@pytest.mark.parametrize("width", [160, 80])
def test_the_terminal_shows_every_method_and_verdict(
    width: int, results: dict[str, Any], labels: dict[str, str]
) -> None:
    console = Console(file=io.StringIO(), width=width)
    print_table(results, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    assert all(method in text for method in labels.values() if width == 160 or len(method) < 15)
    assert ("0.343–0.365" in text) == (width == 160)
    assert "DEP − RAG" in text
    assert "better, uncorrected" in text
