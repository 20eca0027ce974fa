"""Writes judge.html and judge.md from the content of judge.json, and prints the same in the terminal."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table as Grid
from rich.text import Text

from dep.evaluation.metrics import metric_class
from dep.reporting import tables
from dep.reporting.page import panels_of, templates
from dep.reporting.terminal import label_width, print_table, print_wrapped
from dep.utils.atomic_io import write_text

if TYPE_CHECKING:
    from rich.console import Console

_ROLES = {"own": "judged", "control": "controls", "other": "other systems of the run"}
_HEADS = ("What", "System", "Value", "95%", "Judged is", "Replies", "Missing")


def write_judgement(folder: Path, results: dict[str, Any]) -> Path:
    """Write judge.html and judge.md, each complete in itself, and return the path of judge.html.

    Args:
        folder: the folder of judge.json.
        results: the content of judge.json.
    """
    panels = [panel | {"roles": {role: _ROLES[role] for role in panel["roles"]}} for panel in panels_of(results)]
    content = {
        "judged": results, "panels": panels, "labels": tables.arm_labels(results), "run": {},
        "showcase": results["showcase"], "llm_heads": _HEADS, "llm_rows": llm_rows(results),
    }  # fmt: skip
    environment = templates()
    for name in ("judge.html", "judge.md"):
        write_text(folder / name, environment.get_template(f"{name}.j2").render(content))
    return folder / "judge.html"


def print_judgement(results: dict[str, Any], console: Console) -> None:
    """Print the table, the paired tests, the sentences on the gain, and what the language model said."""
    print_table(results, console)
    console.print(Text("\nWhat the gain is made of", "bold"))
    permuted = [results["permuted"]["sentence"]] if results["permuted"] else []
    for sentence in [*results["made_of"]["sentences"], *permuted]:
        print_wrapped(sentence, console, first="- ")
    if command := results["made_of"]["add"]:
        console.print(Text(f"  {command}"), soft_wrap=True)  # in one line, so that it can be copied
    for note in results["notes"]:
        print_wrapped(note, console, "yellow")
    if rows := llm_rows(results):
        console.print(Text(f"\nThe judge {results['llm']['model']}", "bold"))
        for what, of_kind in groupby(rows, key=lambda row: row[0]):
            console.print(_llm_table(what, [row[1:] for row in of_kind], console.width))


def _llm_table(what: str, rows: list[list[str]], width: int) -> Grid:
    """Build the table of one kind of rows from `llm_rows`, in which empty columns are left out."""
    shown = [at for at in range(len(rows[0])) if any(row[at] for row in rows)]
    heads = [what, *_HEADS[2:]]
    others = sum(2 + max(len(text) for text in [heads[at], *(row[at] for row in rows)]) for at in shown[1:])
    labels = label_width([what, *(row[0] for row in rows)], max(20, width - others))
    grid = Grid(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for at in shown:
        if at == 0:
            grid.add_column(what, min_width=labels, max_width=labels)
        else:
            grid.add_column(heads[at], justify="left" if heads[at] == "Judged is" else "right", no_wrap=True)
    for row in rows:
        grid.add_row(*(Text(row[at]) for at in shown))
    return grid


def llm_rows(results: dict[str, Any]) -> list[list[str]]:
    """Format what the language model said, one row for each value; none if no model was asked."""
    llm, labels = results["llm"], tables.arm_labels(results)
    if not llm:
        return []
    rows = [["Score, 0 to 10", labels[r["arm"]], *_cells(r, "value", 2), "", *_counts(r)] for r in llm["scores"]]
    for row in llm["differences"]:
        cells = _cells(row, "delta", 2, True)
        rows.append(["Score less that of", labels[row["arm"]], *cells, row["verdict"], *_counts(row)])
    for row in llm["preferences"]:
        cells = _cells(row, "value", 2)
        name = f"{labels[row['arm']]} (the order decided {row['flips']})"
        rows.append(["Share preferred to", name, *cells, row["verdict"], *_counts(row)])
    for row in llm["agreement"]:
        name = metric_class(row["metric"]).label
        rows.append(["Rank correlation with", name, *_cells(row, "value", 2, True), "", str(row["n"]), ""])
    return rows


def _cells(row: dict[str, Any], name: str, decimals: int, sign: bool = False) -> tuple[str, str]:
    if row[name] is None:
        return "–", ""
    form = f"{{:{'+' if sign else ''}.{decimals}f}}"
    value, low, high = (form.format(row[key]).replace("-", "−") for key in (name, "ci_low", "ci_high"))
    return value, f"{low} to {high}"


def _counts(row: dict[str, Any]) -> tuple[str, str]:
    return str(row["n"]), str(row["missing"])
