"""Experiment on users whose traits change: `python -m experiments.drift [key=value ...]`, with conf/drift.yaml.

It compares a world in which half of the users' habitual sayings are replaced halfway through with the same world
without this drift. The question is whether a recency-weighted mean of the past reviews' vectors, or the state of the
pretrained user encoder, predicts a user's current traits better than the flat mean. It prints a table for each trait,
writes runs/drift/drift.json and takes less than five minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from dep.config.loader import load
from dep.config.schema import RunConfig
from dep.config.schema import build as build_component
from dep.data.vectors.store import VectorStore
from dep.utils.atomic_io import write_json
from dep.utils.progress import quiet
from experiments.drift.measure import BASE, ENCODER, UNTRAINED, measure
from experiments.drift.world import build, worlds

CONF = Path(__file__).resolve().parents[2] / "conf" / "drift.yaml"
STILL, DRIFTING = "without drift", "with drift"


def compare(config: RunConfig, cache: VectorStore, console: Console) -> dict[str, Any]:
    """Measure both worlds, print the tables, and write drift.json to the run's folder."""
    facts: dict[str, Any] = {}
    rows: dict[str, list[dict[str, Any]]] = {}
    sources = worlds(config)
    for name, source in zip((STILL, DRIFTING), sources, strict=True):
        console.print(f"[bold]{name}[/]")
        world = build(config, source, sources[1], cache)
        users = world.labelled.users
        facts[name] = {"histories": len(users), "users": len(set(users)), "pretraining": world.metrics._asdict()}
        rows[name] = measure(world)
    _show(facts, rows, console)
    result = {"source": dict(vars(config.source)), "facts": facts, "rows": rows}
    path = Path(config.runs) / config.name / "drift.json"
    write_json(path, result)
    console.print(f"[bold]drift[/] {path}")
    return result


def _show(facts: Mapping[str, Any], rows: Mapping[str, list[dict[str, Any]]], console: Console) -> None:
    """Print a table for each trait with both worlds, and the selected half-lives."""
    pairs = list(zip(rows[STILL], rows[DRIFTING], strict=True))
    for trait in dict.fromkeys(row["trait"] for row, _ in pairs):
        table = Table(title=f"{trait}: AUC on held-out users, 95% over users", title_justify="left")
        columns = ("vectors", STILL, "less flat mean", DRIFTING, "less flat mean ", "current above former")
        for column in columns:
            table.add_column(column)
        for still, drifting in (pair for pair in pairs if pair[0]["trait"] == trait):
            cells = [_span(row, key) for row in (still, drifting) for key in ("auc", "less flat mean")]
            table.add_row(still["vectors"], *cells, _span(drifting, "current above former"))
        console.print(table)
    for name, fact in facts.items():
        chosen = {r["trait"]: [c for c, _ in r["chosen"]] for r in rows[name] if r["vectors"] == "recency-weighted"}
        half_lives, metrics = "; ".join(f"{trait} {' '.join(c)}" for trait, c in chosen.items()), fact["pretraining"]
        console.print(
            f"{name}: {fact['histories']:,} histories of {fact['users']} users; half-lives chosen, in reviews: "
            f"{half_lives}; the encoder's loss on the next item "
            f"is {metrics['item']:.2f} nats ({metrics['item_by_frequency']:.2f} by frequency, "
            f"{metrics['item_by_chance']:.2f} by chance)"
        )
        learned = [r for r in rows[name] if r["vectors"] == ENCODER]
        console.print(f"{name}, {ENCODER} less {UNTRAINED}: {'; '.join(_learned(row) for row in learned)}")


def _learned(row: Mapping[str, Any]) -> str:
    return f"{row['trait']} {_span(row, f'less {UNTRAINED}')}"


def _span(row: Mapping[str, Any], key: str) -> str:
    interval, sign = row.get(key), "+" if key.startswith("less") else ""
    if interval is None or (sign and row["vectors"] == BASE):
        return ""
    value = interval["delta"] if sign else interval["value"]
    return f"{value:{sign}.3f} ({interval['low']:{sign}.3f} to {interval['high']:{sign}.3f})"


def main(argv: Sequence[str]) -> None:
    """Load the configuration and run the comparison."""
    quiet()
    config = load([CONF], argv)
    torch.set_num_threads(config.threads or torch.get_num_threads())
    compare(
        config,
        VectorStore(config.cache, build_component(config, "embedder"), config.difference),
        Console(soft_wrap=True),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
