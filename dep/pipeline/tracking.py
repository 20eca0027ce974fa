"""Logs to Weights & Biases, offline by default: one W&B run for each arm and seed, grouped by experiment.

An arm is one system of a comparison. `wandb sync runs/<name>/wandb` uploads an offline run later. Logging changes no
result, and `wandb=disabled` turns it off. The CSV files and score files hold the same values, and the package reads
only these.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dep.config.schema import as_dict
from dep.evaluation.metrics import metric_class
from dep.evaluation.scores import metrics_of
from dep.pipeline.arm import Arm
from dep.pipeline.keys import prediction_key
from dep.utils.lightning import pl

SHOWN = 24
"""Largest number of generated texts in the table of a W&B run."""


def _open_run(arm: Arm) -> Any:
    """Start or resume the arm's W&B run; return None if logging is disabled."""
    mode = arm.config.wandb
    if mode == "disabled":
        return None
    import wandb

    folder = arm.folder.parents[1]
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("WANDB_SILENT", "true")
    experiment, variant = arm.config.name, arm.name
    return wandb.init(
        project="dep", group=experiment, name=f"{variant}, seed {arm.seed}", tags=[variant, arm.config.method.kind],
        id=f"{experiment}-{variant}-{arm.seed}-{prediction_key(arm)[:8]}".replace("@", "-").replace("=", "-"),
        config=as_dict(arm.config) | {"seed": arm.seed}, dir=str(folder), mode=mode, resume="allow",
        settings=wandb.Settings(silent=True, console="off"),
    )  # fmt: skip


def training_loggers(arm: Arm) -> tuple[list[Any], Callable[[Mapping[str, float]], None] | None]:
    """Return the Lightning loggers of the arm's training, and a function that logs its throughput or None."""
    run = _open_run(arm)
    return ([], None) if run is None else ([pl.loggers.WandbLogger(experiment=run)], run.log)


def finish() -> None:
    """End the open W&B run, if there is one, so that the next arm gets its own."""
    if (wandb := sys.modules.get("wandb")) is not None and wandb.run is not None:
        wandb.finish()


def log_scores(arm: Arm, scores: Sequence[Mapping[str, Any]], predictions: Sequence[Mapping[str, Any]]) -> None:
    """Log the value of each metric over all examples, and a table of generated texts with their scores."""
    run = _open_run(arm)
    if run is None:
        return
    import wandb

    names = metrics_of(scores)
    for name in names:
        run.summary[f"test_{name}"] = metric_class(name).of_column([row[name] for row in scores])
    columns = [name for name in names if not metric_class(name).statistic_names]
    sampled_rows = list(zip(scores, predictions, strict=True))[:: max(1, len(scores) // SHOWN)][:SHOWN]
    table = wandb.Table(columns=["key", "category", "item", "prediction", "reference", *columns])
    for score, row in sampled_rows:
        table.add_data(
            row["key"], row["category"], row["item_title"], row["prediction"], row["reference"],
            *(score[name] for name in columns),
        )  # fmt: skip
    run.log({"generations": table})
    finish()
