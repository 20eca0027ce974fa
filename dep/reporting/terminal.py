"""Prints the main table, the comparisons and the costs in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table as Grid
from rich.text import Text

from dep.evaluation.metrics import metric_class
from dep.reporting.cost_table import HEADING, NOTE, cost_cells, cost_heads
from dep.reporting.tables import Results, Table, categories, distinct, main_table, number, signed, title
from dep.reporting.verdicts import Verdict, verdicts

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {"better": "green", "worse": "red", "maybe": "yellow", "none": "dim"}
_CELL_WIDTH = 13
"""Width of a cell with an interval, in characters."""


def print_table(results: Results, console: Console) -> None:
    """Print the main table and the paired comparisons over all categories together.

    Args:
        results: the content of results.json.
        console: the console to print to; the table has no intervals if the console is narrow.
    """
    category = categories(results)[0]
    table = main_table(results, category)
    console.print(_main(table, intervals=console.width >= 30 + _CELL_WIDTH * len(table.metrics)))
    pairs = verdicts(results, category)
    if pairs:
        console.print(
            Text(
                "\nPaired differences on the same reviews, with a two-sided randomisation test over users; p is "
                f"uncorrected, the verdict uses Holm's correction for the {len(pairs)} pairs of a metric",
                "bold",
            )
        )
    for (a, b), pair_verdicts in pairs.items():
        names = [table.labels.get(name, name) for name in (a, b)]
        console.print(_comparison(" − ".join(names), pair_verdicts))


def print_costs(costs: Mapping[str, Mapping[str, Any]], console: Console, labels: Mapping[str, str]) -> None:
    """Print the costs of each arm.

    Args:
        costs: the costs of each arm by its name, from `dep.pipeline.request_cost.costs`.
        console: the console to print to.
        labels: the label of each arm by its name.
    """
    shown = distinct({arm: labels.get(arm, arm) for arm in costs})
    grid = _grid(f"\n{HEADING}")
    grid.add_column("method")
    for head in cost_heads(costs).values():
        grid.add_column(head, justify="right", no_wrap=True)
    for arm, cells in cost_cells(costs).items():
        grid.add_row(Text(shown[arm]), *cells)
    console.print(grid)
    console.print(Text(NOTE, "dim"))


def print_texts(showcase: Sequence[Mapping[str, Any]], console: Console, labels: Mapping[str, str]) -> None:
    """Print what each user wrote and what each arm generated for the request, side by side.

    Args:
        showcase: the content of showcase.json.
        console: the console to print to.
        labels: the label of each arm by its name.
    """
    for shown in showcase:
        rating = shown["rating"]
        stars = "" if rating is None or rating != rating else f", {rating:g} of 5"
        titled = f", titled “{shown['title']}”" if shown["title"] else ""
        grid = Grid(
            title=Text(f"\nUser {shown['user']} on {shown['item_title'] or shown['key']}{stars}{titled}", "bold"),
            title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0),
        )  # fmt: skip
        texts = {"What the user wrote": shown["reference"]}
        texts |= {labels.get(arm, arm): text for arm, text in shown["predictions"].items()}
        for name in texts:
            grid.add_column(name, ratio=1, overflow="fold")
        grid.add_row(*(Text(text or "(nothing)", "" if text else "dim") for text in texts.values()))
        console.print(grid)


def _grid(heading: str, title_style: str = "bold", show_header: bool = True) -> Grid:
    return Grid(
        title=Text(heading), title_justify="left", title_style=title_style, box=None, padding=(0, 2, 0, 0),
        show_header=show_header,
    )  # fmt: skip


def _main(table: Table, intervals: bool) -> Grid:
    category = "all categories" if table.category == "all" else table.category
    seeds = max(table.seeds(arm) for arm in table.arms)
    heading = (
        f"{category}, {table.n} test reviews, {f'{seeds} seeds' if seeds else 'one seed'}, "
        f"{'with 95% intervals' if intervals else '95% intervals in the report'}"
    )
    grid = _grid(heading)
    grid.add_column("method")
    for metric in table.metrics:
        grid.add_column(title(metric), justify="right", no_wrap=True)
    for arm in table.arms:
        row = [Text(table.labels[arm])]
        for metric in table.metrics:
            cell = table.cells.get((arm, metric))
            if cell is None:
                row.append(Text("–", "dim"))
                continue
            shown = Text(number(metric, cell.value), "bold" if cell.best else "")
            if intervals:
                shown.append(f"\n{number(metric, cell.low)}–{number(metric, cell.high)}", "dim not bold")
            row.append(shown)
        grid.add_row(*row)
    return grid


def _comparison(pair: str, pair_verdicts: list[Verdict]) -> Grid:
    grid = _grid(pair, title_style="", show_header=False)
    for width in (9, 7, 18, 10):  # fixed widths align the columns of all pairs
        grid.add_column(justify="left" if width == 9 else "right", min_width=width, no_wrap=True)
    grid.add_column(no_wrap=True)
    for verdict in pair_verdicts:
        metric = verdict.metric
        grid.add_row(
            Text(f"  {metric_class(metric).label}"),
            signed(metric, verdict.delta),
            f"[{signed(metric, verdict.low)}, {signed(metric, verdict.high)}]",
            f"p = {verdict.p:.4f}",
            Text(verdict.text, _STYLES[verdict.tone]),
        )
    return grid
