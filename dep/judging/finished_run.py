"""Reads what `dep judge` needs of a finished run: its requests, its arms with their scores, and its reviews.

An arm is one system of the run, with its settings; a request is one test review that every arm was asked to write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dep.config.loader import load
from dep.evaluation.metrics import Metric, build_metrics, load_metric
from dep.judging.controls import RunArm, arms_of
from dep.utils.atomic_io import read_json, read_rows
from dep.utils.errors import DepError, MissingFile

if TYPE_CHECKING:
    from dep.data.protocol import ReviewDataset
    from dep.pipeline.resources import Resources

_REQUEST = ("key", "category", "user", "item", "item_title", "rating", "title", "reference")


class FinishedRun:
    """A finished run, on whose requests predictions are judged.

    Args:
        folder: the run's folder, such as runs/demo.
        overrides: settings as `key=value`, over those of the run's config.yaml.

    Raises:
        MissingFile: the folder holds no finished run.
    """

    def __init__(self, folder: Path, overrides: Sequence[str] = ()) -> None:
        results = read_json(folder / "results.json")
        if not results or not (folder / "config.yaml").is_file():
            raise MissingFile(
                str(folder), "the folder of a finished run, with results.json and config.yaml", "none",
                "name one, as in --run runs/demo, or finish the run with `dep run`",
            )  # fmt: skip
        self.folder = folder
        self.config = load([folder / "config.yaml"], overrides)
        self.facts = read_json(folder / "run.json")
        for target in (results.get("metrics") or {}).values():
            load_metric(target)
        labels: dict[str, str] = {}
        for row in results["rows"]:
            labels.setdefault(row["arm"], str(row.get("label") or row["arm"]))
        self.arms = arms_of(folder, labels)
        if not self.arms:
            raise MissingFile(
                str(folder), "arms with scores.jsonl and config.yaml", "none",
                "copy the whole folder of the run, or run it again with `dep run`",
            )  # fmt: skip

    @cached_property
    def requests(self) -> dict[str, dict[str, Any]]:
        """The run's requests by key, in the run's order: category, user, item, rating, title and the real review."""
        return {row["key"]: {name: row[name] for name in _REQUEST} for row in self.predictions(self.arms[0])}

    def predictions(self, arm: RunArm) -> list[dict[str, Any]]:
        """Read the predictions of an arm at its first seed."""
        return read_rows(self.folder / arm.name / f"seed{arm.seeds[0]}" / "predictions.jsonl")

    def scores(self, arm: RunArm) -> dict[tuple[str, int], list[dict[str, Any]]]:
        """Read the score rows of an arm, by its name and each seed."""
        return {(arm.name, n): read_rows(self.folder / arm.name / f"seed{n}" / "scores.jsonl") for n in arm.seeds}

    def metrics(self) -> tuple[dict[str, Metric], list[str]]:
        """Return the metrics that the run computed, and a note on each one that is computed otherwise here.

        Such a metric is left out, since its values cannot be compared with the run's.
        """
        known: Mapping[str, str] = self.facts.get("signatures") or {}
        built = build_metrics(self.config.evaluate.metrics, self.config.evaluate.texts)
        notes, same = [], {}
        for name, metric in built.items():
            if known.get(name, metric.signature) == metric.signature:
                same[name] = metric
                continue
            notes.append(
                f"{metric.label} is left out: the run computed {known[name]}, and this call would compute "
                f"{metric.signature}. Repeat the run's command to score its arms anew."
            )
        return same, notes

    @cached_property
    def resources(self) -> Resources:
        """Reviews, vectors and backbones of the run."""
        from dep.utils.quick_imports import import_transformers

        import_transformers()  # before any module that imports it whole
        from rich.console import Console

        from dep.pipeline.resources import Resources
        from dep.utils import progress

        progress.quiet()
        return Resources(self.config, Console(quiet=True))

    @cached_property
    def dataset(self) -> ReviewDataset:
        """The run's reviews, filtered and split.

        Raises:
            DepError: the reviews are not those of the run.
        """
        dataset = self.resources.prepared(self.config)
        known = {example.key: example for example in dataset.examples if example.split == "test"}
        for key, request in self.requests.items():
            example = known.get(key)
            if example is None or self.text(dataset, example.category, example.row) != request["reference"]:
                raise DepError(
                    f"{self.folder}: the source", "the reviews of the run", f"others (request {key})",
                    "call `dep judge` in the folder in which the run was made, with the files that it read",
                )  # fmt: skip
        return dataset

    @staticmethod
    def text(dataset: ReviewDataset, category: str, row: int) -> str:
        """Return the text of a review."""
        return dataset.corpora[category].reviews[row].text
