"""Tests of the command `python -m experiments.paper.report`."""

from __future__ import annotations

import pytest

from experiments.paper import report


def test_overrides_reach_every_run_and_the_command_stops_after_a_failed_run(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []

    def main(words: list[str]) -> int:
        calls.append(words)
        return len(calls) - 1

    monkeypatch.setattr(report.cli, "main", main)
    assert report.main(["conf/a.yaml", "seeds=[0]", "conf/b.yaml", "conf/c.yaml"]) == 1
    assert calls == [["run", "conf/a.yaml", "seeds=[0]"], ["run", "conf/b.yaml", "seeds=[0]"]]
