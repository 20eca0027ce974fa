"""`python -m experiments.paper.report`: configurations, overrides and the folder of the page."""

from __future__ import annotations

import pytest

from experiments.paper import report


def test_overrides_reach_every_run_and_a_failed_one_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def main(words: list[str]) -> int:
        asked.append(words)
        return len(asked) - 1

    monkeypatch.setattr(report.cli, "main", main)
    assert report.main(["conf/a.yaml", "seeds=[0]", "conf/b.yaml", "conf/c.yaml"]) == 1
    assert asked == [["run", "conf/a.yaml", "seeds=[0]"], ["run", "conf/b.yaml", "seeds=[0]"]]
