"""Command that writes one page with all of the paper's tables and figures.

`python -m experiments.paper.report [conf/*.yaml] [folder of runs]`

It runs the given configurations, reads those of runs/{table1,ablation,table8,table9,figure2,cost}/results.json that
exist, and writes runs/paper/report.html and report.md. The page shows our numbers next to the published ones, compares
the order of the rows and lists which claims hold.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from rich.console import Console

from dep import cli
from dep.evaluation.metrics import metric_class
from dep.evaluation.uniqueness import curve, halves
from dep.pipeline.user_gains import user_gains
from dep.reporting import tables
from dep.utils.atomic_io import read_json, write_json, write_text
from dep.utils.hashing import file_digest
from experiments.paper import claims, cost, coverage, figures
from experiments.paper.paper_comparison import Grid, grid
from experiments.paper.paper_tables import LAYOUTS

HERE = Path(__file__).resolve().parent
FIGURE3 = {"rag": "RAG", "dep_notext": "DEP (w/o text)", "dep": "DEP"}
"""Arms whose gain over Non-Perso Figure 3 shows."""


def write(runs: Path, console: Console) -> Path:
    """Write paper/report.html and paper/report.md into the folder of runs, unless they are up to date.

    Returns:
        Path of report.html.

    Raises:
        FileNotFoundError: no experiment has results.
    """
    results = {path.parent.name: json.loads(path.read_text("utf-8")) for path in sorted(runs.glob("*/results.json"))}
    grids = [grid(layout, results[layout.run]) for layout in LAYOUTS if layout.run in results]
    if not grids and not {"figure2", "cost"} & results.keys():
        raise FileNotFoundError(
            f"{runs}: no results of table1, ablation, table8, table9, figure2 or cost; run `make ablation` first"
        )
    inputs = [*runs.glob("*/results.json"), *HERE.glob("*.py"), *HERE.glob("templates/*")]
    digests = {str(path): file_digest(path) for path in sorted(inputs)}
    page, digest_file = runs / "paper" / "report.html", runs / "paper" / "made_from.json"
    if page.is_file() and read_json(digest_file) == digests:
        console.print(f"[bold]report[/] {page}")
        return page
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=lambda name: name is None or ".html" in name,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.globals |= {"number": tables.number, "title": tables.title}
    pictures, all_claims = _figure3(runs) if "ablation" in results else ([], [])
    if "figure2" in results:
        pictures.insert(0, ("Figure 2: number of past reviews", Markup(figures.history(results["figure2"]))))
        all_claims = [*claims.rising(results["figure2"]), *all_claims]
    all_claims = [
        c for name in ("ablation", "table8", "table9") if name in results for c in claims.ordered(results[name])
    ] + all_claims
    cost_points = cost.points(runs / "cost") if "cost" in results else []
    if cost_points:
        pictures.append(("Quality and cost by length of history", Markup(figures.cost(cost_points))))
        console.print(cost.table(cost_points))
    content: dict[str, Any] = {
        "grids": grids,
        "claims": all_claims,
        "summary": claims.summary(all_claims),
        "spreads": claims.spreads(results["ablation"]) if "ablation" in results else [],
        "pictures": pictures,
        "agreement": agreement(grids),
        "cost_columns": cost.COLUMNS,
        "cost_rows": [cost.cells(point) for point in cost_points],
        "style": (HERE.parents[1] / "dep/reporting/templates/style.css").read_text("utf-8"),
    }
    for name in ("report.html", "report.md"):
        write_text(runs / "paper" / name, environment.get_template(f"{name}.j2").render(content))
    write_json(digest_file, digests)
    console.print(f"[bold]report[/] {page}")
    return page


def agreement(grids: list[Grid]) -> list[tuple[str, str, float]]:
    """Return (title of the table, metric, mean over categories of Kendall's τ) for each table and metric with a τ."""
    result = []
    for table in grids:
        for metric in dict.fromkeys(metric for _, metric in table.tau):
            values = [tau for (_, m), tau in table.tau.items() if m == metric]
            result.append((table.layout.title, metric, sum(values) / len(values)))
    return result


def _figure3(runs: Path) -> tuple[list[tuple[str, Markup]], list[claims.Claim]]:
    pictures, all_claims = [], []
    for metric in ("nll", "meteor"):
        users = user_gains(runs / "ablation", list(FIGURE3), metric=metric)
        rank = {f"{u.category}/{u.user}": u.rank for u in users}
        by_arm = {n: {f"{u.category}/{u.user}": u.gains[arm] for u in users} for arm, n in FIGURE3.items()}
        bars = figures.groups({name: halves(gains, rank) for name, gains in by_arm.items()}, metric)
        lines = figures.curves({name: curve(gains, rank) for name, gains in by_arm.items()}, metric)
        pictures.append(
            (
                f"Figure 3: unique and other users, gain in {metric_class(metric).label}",
                Markup(f'<div class="two">{bars}{lines}</div>'),
            )
        )
        all_claims += claims.unique_gain_more(by_arm, rank, metric)
    return pictures, all_claims


def main(words: list[str]) -> int:
    """Run the configurations among `words` with its overrides, write the page, and return the exit code."""
    overrides = [word for word in words if "=" in word]
    words = [word for word in words if word not in overrides]
    for file in (word for word in words if word.endswith(".yaml")):
        if code := cli.main(["run", file, *overrides]):
            return code
    folders = [word for word in words if not word.endswith(".yaml")]
    console = Console(soft_wrap=True)
    write(Path(folders[0] if folders else "runs"), console)
    systems = next(layout for layout in LAYOUTS if layout.name == "table1")
    for path in (Path(word) for word in words if Path(word).stem == systems.run):
        console.print(coverage.table(systems, path))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
