"""The evaluation stage, which scores an arm's generated reviews."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dep.data.protocol import ReviewDataset
from dep.evaluation.metrics import HistoryMetric
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
    rows, metrics = read_rows(arm.folder / "predictions.jsonl"), resources.metrics(arm.config)
    if any(isinstance(metric, HistoryMetric) for metric in metrics.values()):
        rows = with_past_texts(rows, resources.prepared(arm.config))
    scores = score_examples(rows, metrics)
    write_rows(path, scores)
    ArmStore(arm).complete("evaluate")
    tracking.log_scores(arm, scores, rows)
    resources.console.print(f"[bold]evaluate[/] {arm.label}, seed {arm.seed}: scores in {path}")


def with_past_texts(rows: Iterable[Mapping[str, Any]], prepared: ReviewDataset) -> list[dict[str, Any]]:
    """Add to each row of predictions.jsonl its `past_texts`: the reviews that its user wrote before, oldest first."""
    reviews = {category: corpus.reviews for category, corpus in prepared.corpora.items()}
    profiles = {example.key: (example.category, example.profile) for example in prepared.examples}
    found = []
    for row in rows:
        category, profile = profiles[row["key"]]
        found.append({**row, "past_texts": [reviews[category][at].text for at in profile]})
    return found
