"""Builds a table of the paper's systems with the files that implement them."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from dep.config.loader import load_arms
from dep.config.schema import label
from dep.methods import METHODS
from experiments.paper.paper_comparison import PAPER
from experiments.paper.paper_tables import Layout


def covered(layout: Layout, file: Path) -> list[tuple[str, str, str, str]]:
    """Return (the paper's row, our row, the arm's file, the method's module) for each row of a table.

    The paper's rows of 32 B models, which are the same arms with another backbone, come last.

    Args:
        layout: layout of one of the paper's tables.
        file: configuration of the run; the arms' files are in the folder `arm` next to it.
    """
    _, arms = load_arms([file])
    result = []
    for name, config in arms.items():
        ours = label(config)
        theirs = next((row for row, own_arm in layout.rows.items() if own_arm == name), "-")
        module = Path(inspect.getfile(METHODS.component(config.method.kind)))
        arm = file.parent / "arm" / f"{name.split('@')[0]}.yaml"
        result.append((theirs, ours, str(arm), str(module.relative_to(Path(inspect.getfile(load_arms)).parents[2]))))
    published = (row["method"] for row in json.loads(PAPER.read_text("utf-8"))["tables"][layout.numbers])
    for name in dict.fromkeys(published):
        if name not in layout.rows:
            _, ours, *files = next(row for row in result if row[0] == name.replace("(32B)", "(7B)"))
            result.append((name, f"{ours}, larger backbone", *files))
    return result


def table(layout: Layout, file: Path) -> Table:
    """Build the table for a terminal."""
    grid = Table(title=f"Coverage of {layout.title}", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("paper", "ours", "arm", "method"):
        grid.add_column(name, overflow="fold")
    for row in covered(layout, file):
        grid.add_row(*row)
    return grid
