"""The evaluation stage, which scores an arm's generated reviews."""

from __future__ import annotations

from dep.evaluation.scores import score_examples
from dep.pipeline import tracking
from dep.pipeline.arm import Arm
from dep.pipeline.resources import Resources
from dep.pipeline.store import ArmStore
from dep.utils.atomic_io import read_rows, write_rows
from dep.utils.errors import MissingFile


def evaluate(resources: Resources, arm: Arm) -> None:
    """Score the arm's generated reviews and write scores.jsonl.

    Raises:
        MissingFile: the arm has no reviews that were generated under its current configuration.
    """
    path = arm.folder / "scores.jsonl"
    if ArmStore(arm).finished("evaluate") or ArmStore(arm).restore("evaluate"):
        return
    if not ArmStore(arm).finished("generate"):
        raise MissingFile(
            f"{arm.folder / 'predictions.jsonl'}: no predictions of {arm.label} under this configuration; run "
            "`dep generate` first"
        )
    rows = read_rows(arm.folder / "predictions.jsonl")
    scores = score_examples(rows, resources.metrics(arm.config))
    write_rows(path, scores)
    ArmStore(arm).complete("evaluate")
    tracking.log_scores(arm, scores, rows)
    resources.console.print(f"[bold]evaluate[/] {arm.label}, seed {arm.seed}: scores in {path}")
