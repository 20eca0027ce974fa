"""Tests of a user-defined metric in the whole report."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dep.evaluation import metrics as metrics_package
from dep.evaluation.metrics import TextMetric
from dep.reporting import print_table, write_report
from dep.reporting.tables import main_table
from dep.reporting.verdicts import verdicts
from dep.utils.registry import ComponentConfig

Make = Callable[..., dict[str, Any]]
Results = dict[str, Any]


class Surprise(TextMetric):
    name = "surprise"
    label = "Surprise"
    unit = "bits"
    decimals = 1
    higher_is_better = False

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        kind: str = "surprise"

    @property
    def signature(self) -> str:
        return "surprise"

    def per_example(self, predictions: Any, references: Any, *, progress: bool = False) -> list[float]:
        return [float(len(text)) for text in predictions]


def test_a_user_defined_metric_is_in_the_table_the_charts_the_page_and_the_verdicts(
    run_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    parse: type,
    row: Make,
    comparison: Make,
    results: Results,
    labels: dict[str, str],
    metrics: list[str],
) -> None:
    monkeypatch.setattr(metrics_package, "_LOADED", {})
    content = results | {"metrics": {"surprise": f"{__name__}:Surprise"}}
    content["rows"] += [
        row(arm, category, "surprise", 7.25, 0) for arm in labels for category in ("Books", "Digital_Music", "all")
    ]
    content["comparisons"].append(comparison("surprise", -0.5, 0.1, 0.0005))
    (run_dir / "results.json").write_text(json.dumps(content))
    text = parse(write_report(run_dir).read_text()).text
    assert "Surprise ↓ bits" in text
    assert "Surprise ↓" in (run_dir / "report.md").read_text()
    assert main_table(content, "all").metrics == [*metrics, "surprise"]
    assert {v.metric: v.text for v in verdicts(content, "all")["dep", "rag"]}["surprise"] == "better"
    console = Console(file=io.StringIO(), width=160)
    print_table(content, console)
    assert "Surprise ↓" in console.file.getvalue()  # type: ignore[attr-defined]
