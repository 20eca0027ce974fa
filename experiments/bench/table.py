"""Writes the output of the benchmarks: results.json, a table in the terminal and a plot."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from dep.utils.atomic_io import write_text
from dep.utils.progress import quiet
from experiments.bench.measure import Row


def command(work: Callable[[], object], usage: str | None) -> int:
    """Run `work` as a command, print errors of the user as one line, and return the exit code."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print((usage or "").strip())
        return 0
    quiet()
    try:
        work()
    except KeyboardInterrupt:
        print("\ninterrupted; results.json has the rows measured so far", file=sys.stderr)
        return 130
    except ValueError as error:
        print(f"error {error}", file=sys.stderr)
        return 2
    return 0


def earlier(folder: Path) -> dict[str, Row]:
    """Return the rows of earlier calls, by name."""
    path = folder / "results.json"
    return {row["name"]: Row(**row) for row in json.loads(path.read_text())["rows"]} if path.is_file() else {}


def merge(rows: Sequence[Row], folder: Path) -> list[Row]:
    """Write `rows` and the rows of earlier calls to results.json and return all; a new row replaces its namesake."""
    all_rows = list((earlier(folder) | {row.name: row for row in rows}).values())
    write_text(folder / "results.json", json.dumps({"rows": [row._asdict() for row in all_rows]}, indent=1) + "\n")
    return all_rows


def show(rows: Sequence[Row], folder: Path, console: Console) -> None:
    """Print the table, and draw the plot if matplotlib is installed."""
    console.print(table(rows))
    console.print(f"[bold]bench[/] {folder / 'results.json'}", end="")
    if find_spec("matplotlib"):
        write_text(folder / "ratios.svg", plot(rows))
        console.print(f" and {folder / 'ratios.svg'}", end="")
    console.print()


def table(rows: Sequence[Row]) -> Table:
    """Build the table for a terminal."""
    grid = Table(box=SIMPLE_HEAD, pad_edge=False)
    grid.add_column("ours, and the alternative", overflow="fold", ratio=1)
    for name in ("measured", "times as fast", "goal"):
        grid.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        colour = "[green]" if row.ratio_median >= row.goal else "[red]"
        grid.add_row(
            f"[bold]{row.name}[/]: {row.what}", f"{_short(row.ours)} {row.unit}",
            f"{colour}{_ratio(row.ratio_median)}[/]", f"{row.goal:g}",
        )  # fmt: skip
        spread = f"{_ratio(row.ratio_min)} to {_ratio(row.ratio_max)}" if row.ratio_min < row.ratio_max else ""
        grid.add_row(f"  {row.against}", _short(row.alternative), spread, "", end_section=True)
    return grid


def _ratio(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def plot(rows: Sequence[Row]) -> str:
    """Draw the ratios as dots with their range on a logarithmic axis, and the goals as marks; returns SVG text."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, ax = plt.subplots(figsize=(8, 0.35 * len(rows) + 1.2), layout="constrained")
    for at, row in enumerate(rows):
        error = [[row.ratio_median - row.ratio_min], [row.ratio_max - row.ratio_median]]
        ax.errorbar(row.ratio_median, at, xerr=error, fmt="o", capsize=3, color="C0")
        ax.plot([row.goal, row.goal], [at - 0.3, at + 0.3], color="C3", linewidth=2)
        ax.annotate(_ratio(row.ratio_median), (1.01, at), xycoords=("axes fraction", "data"), va="center")
    ax.axvline(1, color="0.6", linewidth=1)
    ax.grid(axis="x", color="0.9")
    ax.set_yticks(range(len(rows)), [row.name for row in rows])
    ax.invert_yaxis()
    ax.set(xscale="log", xlabel="times as fast as the alternative, and range of the repeats (red: goal)")
    ax.xaxis.set_major_formatter("{x:g}")
    out = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "path"}):  # looks the same on a machine without the font
        figure.savefig(out, format="svg")
    plt.close(figure)
    return out.getvalue()
