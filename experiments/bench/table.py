"""Rows of results as a file, a table and a plot."""

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
    """Do `work` as a command of its own, told of in lines rather than by a traceback; returns the exit code."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print((usage or "").strip())
        return 0
    quiet()
    try:
        work()
    except KeyboardInterrupt:
        print("\ninterrupted; rows that were measured are kept", file=sys.stderr)
        return 130
    except ValueError as error:
        print(f"error {error}", file=sys.stderr)
        return 2
    return 0


def kept(folder: Path) -> dict[str, Row]:
    """Rows of earlier calls, by name."""
    path = folder / "results.json"
    return {row["name"]: Row(**row) for row in json.loads(path.read_text())["rows"]} if path.is_file() else {}


def keep(rows: Sequence[Row], folder: Path) -> list[Row]:
    """Add `rows` to those of earlier calls, in place of their namesakes; all of them."""
    every = kept(folder) | {row.name: row for row in rows}
    write_text(folder / "results.json", json.dumps({"rows": [r._asdict() for r in every.values()]}, indent=1) + "\n")
    return list(every.values())


def show(rows: Sequence[Row], folder: Path, console: Console) -> None:
    """Print the table, and draw the plot where there is matplotlib."""
    console.print(table(rows))
    console.print(f"[bold]bench[/] {folder / 'results.json'}", end="")
    if find_spec("matplotlib"):
        write_text(folder / "ratios.svg", plot(rows))
        console.print(f" and {folder / 'ratios.svg'}", end="")
    console.print()


def table(rows: Sequence[Row]) -> Table:
    """For a terminal."""
    shown = Table(box=SIMPLE_HEAD, pad_edge=False)
    shown.add_column("ours, and the alternative", overflow="fold", ratio=1)
    for name in ("measured", "times as fast", "to reach"):
        shown.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        reached = "[green]" if row.ratio_median >= row.goal else "[red]"
        shown.add_row(
            f"[bold]{row.name}[/]: {row.what}", f"{_short(row.ours)} {row.unit}",
            f"{reached}{_ratio(row.ratio_median)}[/]", f"{row.goal:g}",
        )  # fmt: skip
        between = f"{_ratio(row.ratio_min)} to {_ratio(row.ratio_max)}" if row.ratio_min < row.ratio_max else ""
        shown.add_row(f"  {row.against}", _short(row.alternative), between, "", end_section=True)
    return shown


def _ratio(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def plot(rows: Sequence[Row]) -> str:
    """The ratios as dots on a logarithmic axis, with their range, and what was to be reached as a mark."""
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
    ax.set(xscale="log", xlabel="times as fast as the alternative, and range of the repeats (red: to reach)")
    ax.xaxis.set_major_formatter("{x:g}")
    out = io.StringIO()
    figure.savefig(out, format="svg")
    plt.close(figure)
    return out.getvalue()
