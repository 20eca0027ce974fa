"""The main table and the comparisons in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table as Grid
from rich.text import Text

from dep.eval.report.tables import LABELS, Results, Table, Verdict, categories, main_table, number, signed, title, verdicts

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {"better": "green", "worse": "red", "maybe": "yellow", "none": "dim"}
_ROOM = 14
"""Columns that a cell with its interval takes."""


def print_table(results: Results, console: Console) -> None:
    """Print the main table and the paired comparisons of everything pooled.

    Args:
        results: the content of results.json.
        console: where to; a narrow one gets no intervals.
    """
    category = categories(results)[0]
    table = main_table(results, category)
    console.print(_main(table, intervals=console.width >= 30 + _ROOM * len(table.metrics)))
    pairs = verdicts(results, category)
    if pairs:
        console.print(_comparisons(pairs))


def _main(table: Table, intervals: bool) -> Grid:
    where = "all categories" if table.category == "all" else table.category
    heading = f"{where}, {table.n} test reviews{', with 95% intervals' if intervals else ''}"
    grid = Grid(title=Text(heading), title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    grid.add_column("method", no_wrap=True)
    for metric in table.metrics:
        grid.add_column(title(metric), justify="right", no_wrap=True)
    for method in table.methods:
        row = [Text(method)]
        for metric in table.metrics:
            cell = table.cells.get((method, metric))
            if cell is None:
                row.append(Text("–", "dim"))
                continue
            shown = Text(number(metric, cell.value), "bold" if cell.best else "")
            if intervals:
                shown.append(f"\n{number(metric, cell.low)}–{number(metric, cell.high)}", "dim not bold")
            row.append(shown)
        grid.add_row(*row)
    return grid


def _comparisons(pairs: dict[tuple[str, str], list[Verdict]]) -> Grid:
    count = sum(len(found) for found in pairs.values())
    heading = f"Paired differences (users resampled; uncorrected: not after Holm's correction for {count} tests)"
    grid = Grid(title=Text(heading), title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    grid.add_column("a − b", no_wrap=True)
    grid.add_column("metric", no_wrap=True)
    for name in ("delta", "95% interval", "p"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("a is", no_wrap=True)
    for (a, b), found in pairs.items():
        for at, verdict in enumerate(found):
            metric = verdict.metric
            grid.add_row(
                Text(f"{a} − {b}" if at == 0 else ""),
                LABELS[metric].title,
                signed(metric, verdict.delta),
                f"{signed(metric, verdict.low)} … {signed(metric, verdict.high)}",
                f"{verdict.p:.4f}",
                Text(verdict.text, _STYLES[verdict.tone]),
            )
    return grid
