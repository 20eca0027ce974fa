"""Weights & Biases: one run per arm and seed, grouped by experiment, tagged by arm and method, offline by default.

It mirrors the CSV and score files, which the rest of the package reads; `wandb sync runs/<name>/wandb` uploads an
offline run. It changes no result; `wandb=disabled` turns it off.
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
"""Number of generated texts in a W&B table."""


def start_run(arm: Arm) -> Any:
    """Start or resume the arm's W&B run; None if W&B is disabled."""
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


def training(arm: Arm) -> tuple[list[Any], Callable[[Mapping[str, float]], None] | None]:
    """Lightning loggers that mirror the arm's training, and a function that logs its pace."""
    run = start_run(arm)
    return ([], None) if run is None else ([pl.loggers.WandbLogger(experiment=run)], run.log)


def finish() -> None:
    """Finish the open W&B run, if there is one, before the next arm starts its own."""
    if (wandb := sys.modules.get("wandb")) is not None and wandb.run is not None:
        wandb.finish()


def scored(arm: Arm, scores: Sequence[Mapping[str, Any]], predictions: Sequence[Mapping[str, Any]]) -> None:
    """Log the mean of each metric, and a table of generated texts with their scores."""
    run = start_run(arm)
    if run is None:
        return
    import wandb

    names = metrics_of(scores)
    for name in names:
        run.summary[f"test_{name}"] = metric_class(name).of_column([row[name] for row in scores])
    kept = [name for name in names if not metric_class(name).statistic_names]
    shown = list(zip(scores, predictions, strict=True))[:: max(1, len(scores) // SHOWN)][:SHOWN]
    table = wandb.Table(columns=["key", "category", "item", "prediction", "reference", *kept])
    for score, row in shown:
        table.add_data(
            row["key"], row["category"], row["item_title"], row["prediction"], row["reference"],
            *(score[name] for name in kept),
        )  # fmt: skip
    run.log({"generations": table})
    finish()
