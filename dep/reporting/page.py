"""Writes report.html and report.md into a run's folder; each file is complete in itself.

Reviews are untrusted text: the HTML template escapes each value, and the Markdown template passes each through `plain`.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from dep.evaluation.metrics import metric_class
from dep.reporting import charts, tables
from dep.reporting.cost_table import HEADING, NOTE, cost_cells, cost_heads
from dep.reporting.verdicts import in_words, verdicts
from dep.utils.atomic_io import write_text
from dep.utils.errors import MissingFile

_HERE = Path(__file__).resolve().parent
_FILES = ("results.json", "config.yaml", "run.json", "report.md")
_LOGGED = {
    "val_nll": "Validation: NLL",
    "val_meteor": "Validation: METEOR",
    "train_lm": "NLL of the training reviews",
    "train_total": "Total loss (Eq. 11)",
    "train_recon": "Reconstruction loss (Eq. 8)",
    "train_sparse": "Sparsity loss (Eq. 10)",
    "train_mean_activation": "Mean activation of the compressor's units",
    "train_dead_units": "Share of units that are inactive for a whole batch",
    "train_clamped_units": "Share of units whose mean activation is clamped",
}
"""For each column of metrics.csv its heading on the page."""


def write_report(run_dir: Path) -> Path:
    """Write report.html and report.md of a run.

    Args:
        run_dir: the folder with results.json. The report also shows run.json, showcase.json and each arm's
            predictions.jsonl and metrics.csv, as far as these files exist.

    Returns:
        The path of report.html.

    Raises:
        MissingFile: there is no results.json.
        DepError: results.json is empty, or lacks an arm's mean over its seeds.
    """
    results = _read(run_dir / "results.json")
    if results is None:
        raise MissingFile(f"{run_dir / 'results.json'}: no results to report; make them with `dep run` or `dep report`")
    environment = templates()
    content = _content(run_dir, results)
    for name in ("report.html", "report.md"):
        write_text(run_dir / name, environment.get_template(f"{name}.j2").render(content))
    return run_dir / "report.html"


def templates() -> Environment:
    """Return the environment of all templates; HTML templates escape each value."""
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=lambda name: name is None or ".html" in name,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": plain, "number": _by_metric(tables.number), "signed": _by_metric(tables.signed)}
    environment.filters |= {"title": tables.title, "in_words": in_words}
    environment.globals |= {"metric_class": metric_class, "spread": tables.spread}
    environment.globals |= {"cost_heading": HEADING, "cost_note": NOTE}
    return environment


def _by_metric(function: Callable[[str, float], str]) -> Callable[[float, str], str]:
    """Swap the arguments of a function (metric, value), so that templates can write `value | number(metric)`."""
    return lambda value, metric: function(metric, value)


def plain(text: object) -> str:
    """Escape a text and join its lines, so that Markdown shows the text unchanged on one line."""
    return re.sub(r"([\\`*_\[\]|#~!])", r"\\\1", escape(" ".join(str(text).split()), quote=False))


def _content(run_dir: Path, results: tables.Results) -> dict[str, Any]:
    run = _read(run_dir / "run.json") or {}
    labels, panels = tables.arm_labels(results), panels_of(results)
    logs = _logs(run_dir)
    seconds = run.get("seconds")
    return {
        "name": run.get("name") or results["rows"][0].get("run") or run_dir.name,
        "run": run,
        "took": None if seconds is None else str(timedelta(seconds=round(seconds))),
        "panels": panels,
        "costs": cost_cells(run.get("costs") or {}),
        "cost_heads": cost_heads(run.get("costs") or {}),
        "settings": dict(_flat(run.get("config") or {})),
        "curves": _charts(logs),
        "curve_names": [labels.get(arm, arm) for arm in logs],
        "labels": labels,
        "showcase": _read(run_dir / "showcase.json") or _from_predictions(run_dir)[:3],
        "files": [name for name in _FILES if name == "report.md" or (run_dir / name).is_file()],
    }


def panels_of(results: tables.Results) -> list[dict[str, Any]]:
    """Return the table, comparisons and charts of each category."""
    shown = [tables.main_table(results, category) for category in tables.categories(results)]
    roles = {arm: facts["role"] for arm, facts in (results.get("arms") or {}).items()}
    return [
        {
            "table": table,
            "pairs": verdicts(results, table.category),
            "roles": charts.key(roles.get(arm, "other") for arm in table.arms),
            "charts": {metric: Markup(charts.intervals(table, metric, roles)) for metric in table.metrics},
        }
        for table in shown
    ]


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted key and the value of every leaf of nested mappings."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + str(key), "–" if value is None else str(value)


def _logs(run_dir: Path) -> dict[str, list[Path]]:
    """Return for each arm the paths of metrics.csv of all its seeds."""
    arms: dict[str, list[Path]] = {}
    for path in sorted(run_dir.glob("*/*/metrics.csv")):
        arms.setdefault(path.parent.parent.name, []).append(path)
    return arms


def _curves(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Read the pairs (step, value) of every logged column of a metrics.csv."""
    curves: dict[str, list[tuple[float, float]]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value and name in _LOGGED:
                    curves.setdefault(name, []).append((float(row["step"]), float(value)))
    return curves


def _charts(logs: Mapping[str, Sequence[Path]]) -> dict[str, Markup]:
    """Draw a chart for each logged value, with a line for each seed of each arm; an arm has one colour."""
    logged: dict[str, list[tuple[int, charts.Curve]]] = {}
    for colour, paths in enumerate(logs.values()):
        for path in paths:
            for name, curve in _curves(path).items():
                logged.setdefault(name, []).append((colour, charts.thinned(curve)))
    return {
        heading: Markup(charts.curves(heading, logged[name])) for name, heading in _LOGGED.items() if name in logged
    }


def _from_predictions(run_dir: Path) -> list[dict[str, Any]]:
    """Choose examples for a run without showcase.json: each category's first request that all arms answered."""
    arms: dict[str, dict[str, dict[str, Any]]] = {}
    for path in sorted(run_dir.glob("*/*/predictions.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines()
        arms.setdefault(path.parent.parent.name, {row["key"]: row for row in map(json.loads, lines)})
    if not arms:
        return []
    common = set.intersection(*(set(rows) for rows in arms.values()))
    first: dict[str, dict[str, Any]] = {}
    for key, row in next(iter(arms.values())).items():
        if key in common:
            first.setdefault(row["category"], row)
    return [
        row | {"predictions": {arm: rows[row["key"]]["prediction"] for arm, rows in arms.items()}}
        for row in first.values()
    ]
