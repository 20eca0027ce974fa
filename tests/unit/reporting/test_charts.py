"""Tests of the charts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dep.reporting.charts import _ticks, intervals, key, thinned
from dep.reporting.tables import main_table

Make = Callable[..., dict[str, Any]]


def test_axis_ticks_are_round_and_enclose_the_values() -> None:
    assert _ticks(0.0, 0.37) == [0.0, 0.1, 0.2, 0.3, 0.4]
    for low, high in ((0.6123, 0.6124), (-3.0, 4.5), (5.0, 5.0), (0.0, 0.0)):
        ticks = _ticks(low, high)
        assert ticks[0] <= low <= high <= ticks[-1]
        assert 2 <= len(ticks) <= 7


def test_thinning_a_curve_keeps_its_mean() -> None:
    line = [(float(step), float(step % 7)) for step in range(1000)]
    short = thinned(line, 100)
    assert len(short) == 100
    assert sum(y for _, y in short) / 100 == pytest.approx(sum(y for _, y in line) / 1000)


def test_the_key_names_the_roles_that_occur() -> None:
    assert key(["other", "own", "own"]) == {"own": "DEP", "other": "other methods"}
    assert list(key(["control"])) == ["control"]


def test_colours_follow_the_role_of_a_method_and_not_its_label(row: Make) -> None:
    table = main_table({"rows": [row("custom", "all", "nll", 0.5, 0), row("dep", "all", "nll", 0.5, 0)]}, "all")
    chart = intervals(table, "nll", {"custom": "control"})
    assert 'class="dot control"' in chart
    assert 'class="dot other"' in chart
    assert "own" not in chart
