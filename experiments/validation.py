"""Reads the validation values of finished trainings."""

from __future__ import annotations

import csv
from pathlib import Path


def best_value(arm: Path, metric: str, goal: str) -> float:
    """Return the best validation value of an arm's training, averaged over seeds.

    Raises:
        FileNotFoundError: no metrics.csv has the metric.
    """
    values = []
    for path in sorted(arm.glob("seed*/metrics.csv")):
        with path.open(newline="") as file:
            column = [float(row[metric]) for row in csv.DictReader(file) if row.get(metric)]
        values.append(min(column) if goal == "minimize" else max(column))
    if not values:
        raise FileNotFoundError(f"{arm}: no metrics.csv with {metric}; the training of this trial did not finish")
    return sum(values) / len(values)
