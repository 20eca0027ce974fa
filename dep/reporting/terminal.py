"""Prints the main table, the comparisons and the costs in the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table as Grid
from rich.text import Text

from dep.evaluation.metrics import metric_class
from dep.reporting.cost_table import HEADING, NOTE, cost_cells, cost_heads
from dep.reporting.tables import Cell, Results, Table, categories, distinct, main_table, number, signed, title
from dep.reporting.verdicts import Verdict, verdicts

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {"better": "green", "worse": "red", "maybe": "yellow", "none": "dim"}
_LABEL_WIDTH = 24
"""Width of the column of methods, in characters, unless a word is longer; longer labels continue on the next line."""
_GAP = 2
"""Number of characters between two columns."""


def print_table(results: Results, console: Console) -> None:
    """Print the main table and the paired comparisons over all categories together.

    Args:
        results: the content of results.json.
        console: the console to print to. If it is narrow, the table has no intervals, and metrics for which there is no
            room follow in a second table.
    """
    category = categories(results)[0]
    table = main_table(results, category)
    for at, grid in enumerate(_main(table, console.width)):
        if at:
            console.print()
        console.print(grid)
    pairs = verdicts(results, category)
    if pairs:
        note = (
            "Paired differences on the same reviews, with a two-sided randomisation test over users; p is uncorrected, "
            f"the verdict uses Holm's correction for the {len(pairs)} pairs of a metric"
        )
        console.print()
        print_wrapped(note, console, "bold")
    for (a, b), pair_verdicts in pairs.items():
        names = [table.labels.get(name, name) for name in (a, b)]
        console.print(_comparison(" − ".join(names), pair_verdicts))


def print_wrapped(text: str, console: Console, style: str = "", first: str = "") -> None:
    """Print a text whose lines break at spaces.

    Args:
        text: the text.
        console: the console to print to, whose own lines may break within a word.
        style: the style of rich.
        first: what stands before the first line; the other lines are indented as far.
    """
    lines = textwrap.fill(
        text, max(console.width, 20), initial_indent=first, subsequent_indent=" " * len(first),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    console.print(Text(lines, style))


def label_width(labels: Iterable[str], limit: int = _LABEL_WIDTH) -> int:
    """Return the width of a column of labels which break at spaces, where they are longer than `limit`."""
    labels = list(labels)
    return min(max(map(len, labels)), max(limit, *(len(word) for label in labels for word in label.split())))


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
        title=Text(heading), title_justify="left", title_style=title_style, box=None, padding=(0, _GAP, 0, 0),
        pad_edge=False, show_header=show_header,
    )  # fmt: skip


def _main(table: Table, width: int) -> list[Grid]:
    """Build the main table for a console of some width, as several tables with some of the metrics if it is narrow."""
    labels = label_width(table.labels[arm] for arm in table.arms)
    with_intervals = {metric: _width(table, metric, True) for metric in table.metrics}
    intervals = labels + sum(_GAP + column for column in with_intervals.values()) <= width
    category = "all categories" if table.category == "all" else table.category
    seeds = max(table.seeds(arm) for arm in table.arms)
    heading = (
        f"{category}, {table.n} test reviews, {f'{seeds} seeds' if seeds else 'one seed'}, "
        f"{'with 95% intervals' if intervals else '95% intervals in the report'}"
    )
    widths = with_intervals if intervals else {metric: _width(table, metric, False) for metric in table.metrics}
    headings = [heading, *[""] * len(widths)]
    return [
        _part(table, metrics, labels, intervals, heading)
        for heading, metrics in zip(headings, _that_fit(widths, width - labels), strict=False)
    ]


def _width(table: Table, metric: str, intervals: bool) -> int:
    """Return the width of a metric's column."""
    cells = [cell for (_, name), cell in table.cells.items() if name == metric]
    texts = [title(metric), *(number(metric, cell.value) for cell in cells)]
    texts += [_interval(metric, cell) for cell in cells if intervals]
    return max(map(len, texts))


def _that_fit(widths: Mapping[str, int], room: int) -> list[list[str]]:
    """Split the metrics into as few groups of about equal size as fit into `room` beside the labels."""
    names = list(widths)
    for count in range(1, len(names) + 1):
        size = -(-len(names) // count)
        groups = [names[at : at + size] for at in range(0, len(names), size)]
        if all(sum(_GAP + widths[name] for name in group) <= room for group in groups):
            return groups
    return [[name] for name in names]


def _interval(metric: str, cell: Cell) -> str:
    return f"{number(metric, cell.low)}–{number(metric, cell.high)}"


def _part(table: Table, metrics: Sequence[str], labels: int, intervals: bool, heading: str) -> Grid:
    """Build the table of some of the metrics."""
    grid = _grid(heading)
    grid.add_column("method", min_width=labels, max_width=labels)
    for metric in metrics:
        grid.add_column(title(metric), justify="right", no_wrap=True)
    for arm in table.arms:
        row = [Text(table.labels[arm])]
        for metric in metrics:
            cell = table.cells.get((arm, metric))
            if cell is None:
                row.append(Text("–", "dim"))
                continue
            shown = Text(number(metric, cell.value), "bold" if cell.best else "")
            if intervals:
                shown.append(f"\n{_interval(metric, cell)}", "dim not bold")
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
