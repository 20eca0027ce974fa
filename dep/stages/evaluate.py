"""Evaluation: the scores of an arm's texts, review by review."""

from __future__ import annotations

from typing import Any

from dep import tracking
from dep.arm import Arm
from dep.eval.scores import score_examples
from dep.files import read_rows, write_rows
from dep.shared import Shared


def evaluate(shared: Shared, arm: Arm) -> None:
    """Score the arm's predictions; scores.jsonl."""
    path = arm.folder / "scores.jsonl"
    if arm.finished("evaluate") or arm.take("evaluate"):
        return
    if not arm.finished("generate"):
        raise FileNotFoundError(
            f"{arm.folder / 'predictions.jsonl'}: no predictions of {arm.label} as configured; run `dep generate` first"
        )
    rows = read_rows(arm.folder / "predictions.jsonl")
    scores: list[dict[str, Any]] = [{k: row[k] for k in ("key", "category", "user", "nll")} for row in rows]
    if arm.config.evaluate.texts:
        predictions, references = [row["prediction"] for row in rows], [row["reference"] for row in rows]
        columns = score_examples(predictions, references, shared.metrics(arm.config))
        for name, values in columns.items():
            for row, value in zip(scores, values, strict=True):
                row[name] = value
    write_rows(path, scores)
    arm.complete("evaluate")
    tracking.scored(arm, scores, rows)
    shared.console.print(f"[bold]evaluate[/] {arm.label}, seed {arm.seed}: scores in {path}")
