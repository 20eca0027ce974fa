"""Who is a user *now*? `python -m experiments.drift [key=value ...]`, by conf/drift.yaml, in under five minutes.

In a world where half of what users keep saying is drawn anew halfway, and in the same world without: does a
recency-weighted mean of the past reviews' vectors, or the state of the pretrained user encoder, tell a user's present
traits better than the flat mean? Prints a table a trait and writes runs/drift/drift.json.
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
    """Both worlds measured, printed, and written to the run's folder."""
    facts: dict[str, Any] = {}
    rows: dict[str, list[dict[str, Any]]] = {}
    sources = worlds(config)
    for name, source in zip((STILL, DRIFTING), sources, strict=True):
        console.print(f"[bold]{name}[/]")
        world = build(config, source, sources[1], cache)
        users = world.asked.users
        facts[name] = {"pasts": len(users), "users": len(set(users)), "told": world.told._asdict()}
        rows[name] = measure(world)
    _show(facts, rows, console)
    result = {"source": dict(vars(config.source)), "facts": facts, "rows": rows}
    path = Path(config.runs) / config.name / "drift.json"
    write_json(path, result)
    console.print(f"[bold]drift[/] {path}")
    return result


def _show(facts: Mapping[str, Any], rows: Mapping[str, list[dict[str, Any]]], console: Console) -> None:
    """A table a trait, both worlds side by side, and what was chosen."""
    pairs = list(zip(rows[STILL], rows[DRIFTING], strict=True))
    for trait in dict.fromkeys(row["trait"] for row, _ in pairs):
        table = Table(title=f"{trait}: AUC on users left out, 95% over users", title_justify="left")
        for column in ("vectors of the past", STILL, "less flat mean", DRIFTING, "less flat mean ", "now above then"):
            table.add_column(column)
        for still, drifting in (pair for pair in pairs if pair[0]["trait"] == trait):
            cells = [_span(row, key) for row in (still, drifting) for key in ("auc", "less flat mean")]
            table.add_row(still["vectors"], *cells, _span(drifting, "now above then"))
        console.print(table)
    for name, fact in facts.items():
        chosen = {r["trait"]: [c for c, _ in r["chosen"]] for r in rows[name] if r["vectors"] == "recency-weighted"}
        lives, told = "; ".join(f"{trait} {' '.join(given)}" for trait, given in chosen.items()), fact["told"]
        console.print(
            f"{name}: {fact['pasts']:,} pasts of {fact['users']} users; half-lives chosen, in reviews: "
            f"{lives}; the encoder's next item "
            f"costs {told['item']:.2f} nats ({told['item_by_frequency']:.2f} by frequency, "
            f"{told['item_by_chance']:.2f} by chance)"
        )
        learned = [r for r in rows[name] if r["vectors"] == ENCODER]
        console.print(f"{name}, {ENCODER} less {UNTRAINED}: {'; '.join(_learned(row) for row in learned)}")


def _learned(row: Mapping[str, Any]) -> str:
    return f"{row['trait']} {_span(row, f'less {UNTRAINED}')}"


def _span(row: Mapping[str, Any], key: str) -> str:
    given, sign = row.get(key), "+" if key.startswith("less") else ""
    if given is None or (sign and row["vectors"] == BASE):
        return ""
    value = given["delta"] if sign else given["value"]
    return f"{value:{sign}.3f} ({given['low']:{sign}.3f} to {given['high']:{sign}.3f})"


def main(argv: Sequence[str]) -> None:
    """Load the configuration and compare."""
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
