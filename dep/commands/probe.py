"""`dep probe` measures, without a language model, how much reviews' vectors tell about their author."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from dep.commands.base import Command
from dep.config.schema import RunConfig
from dep.data.embedders import Embedder
from dep.data.sources import PlantedSource
from dep.data.synthetic.trait_probe import TraitRow
from dep.evaluation.author_probe import ProbeRow, probe, user_rows
from dep.evaluation.significance import mean_interval, paired
from dep.pipeline.leak_check import LeakRow, leak_check
from dep.pipeline.resources import Resources
from dep.pipeline.stages.vectors import print_notes
from dep.types import Vectors
from dep.utils.atomic_io import write_json
from dep.utils.errors import DepError


def main(command: Command) -> None:
    """Probe the vectors of the test users' reviews."""
    probe_all(command.resources, command.configs[0])


def probe_all(resources: Resources, run: RunConfig) -> dict[str, Any]:
    """Probe the test users' reviews of every category; print tables, write the run's probe.json and return it."""
    prepared, cache = resources.prepared(run), resources.cache(run)
    print_notes(resources, prepared)
    corpora = prepared.corpora
    vectors = {category: cache.vectors(corpus, prepared.pool[category]) for category, corpus in corpora.items()}
    table = Table(title="Whose review is it? Leave-one-out nearest user centroid, by cosine", title_justify="left")
    for column in ("category", "vectors", "accuracy", "95%", "MRR", "chance", "reviews"):
        table.add_column(column, justify="left" if column in ("category", "vectors") else "right")
    result: dict[str, Any] = {"author": []}
    for category, corpus in corpora.items():
        rows = user_rows(prepared.examples, category)
        for name, of_part in part_vectors(cache.embedder, vectors[category]):
            for row in probe(corpus, of_part, rows):
                result.setdefault("parts", []).append({"category": category, "embedder": name, **vars(row)})
                table.add_row(category, f"{name} {row.vectors}", *_cells(row))
        for row in probe(corpus, vectors[category], rows):
            result["author"].append({"category": category, **vars(row)})
            table.add_row(category, row.vectors, *_cells(row))
    resources.console.print(table)
    if leaks := _leaks(resources, run, cache.embedder):
        result["leak_check"] = leaks
    if isinstance(resources.source, PlantedSource):
        result["planted"] = _planted(resources, resources.source.planted(corpora, vectors))
    path = Path(run.runs) / run.name / "probe.json"
    write_json(path, result)
    resources.console.print(f"[bold]probe[/] {path}")
    return result


def part_vectors(embedder: Embedder, vectors: Vectors) -> list[tuple[str, Vectors]]:
    """Return the name and the vectors of each part of a joined embedder; an empty list for another embedder."""
    parts: list[Embedder] = getattr(embedder, "parts", [])
    widths = [part.dim for part in parts]
    his, diff = (x_NE.split(widths, dim=1) if parts else () for x_NE in (vectors.his_NE, vectors.diff_NE))
    return [
        (part.name, Vectors(his_NE, diff_NE, vectors.peers_N))
        for part, his_NE, diff_NE in zip(parts, his, diff, strict=True)
    ]


def _cells(row: ProbeRow) -> tuple[str, ...]:
    """Return the cells of a result, without the kind of vector."""
    return (
        f"{row.accuracy:.1%}", f"{row.low:.1%} to {row.high:.1%}", f"{row.mrr:.3f}", f"{row.chance:.2%}",
        f"{row.n:,}",
    )  # fmt: skip


def _leaks(resources: Resources, run: RunConfig, embedder: Embedder) -> list[dict[str, Any]]:
    """Print and return what a fitted embedder finds beside one that was fitted to other users and items."""
    prepared = resources.prepared(run)
    found: list[tuple[str, LeakRow]] = []
    for category, corpus in prepared.corpora.items():
        rows = user_rows(prepared.examples, category)
        try:
            found += [(category, row) for row in leak_check(run, embedder, corpus, prepared.pool[category], rows)]
        except DepError as error:  # half of the users and items of a small corpus may not do
            resources.console.print(f"[yellow]no leak check[/] {escape(str(error))}", highlight=False)
    if not found:
        return []
    table = Table(title="Leak check: does it find authors that it was not fitted to?", title_justify="left")
    for column in ("embedder", "fitted to", "his", "diff", "both", "chance", "reviews"):
        table.add_column(column, justify="left" if column in ("embedder", "fitted to") else "right")
    for at in range(0, len(found), 3):  # his, diff and both of one embedder
        category, leak = found[at]
        texts = f" ({leak.texts:,} texts)" if leak.texts else ""
        accuracies = (f"{row.row.accuracy:.1%}" for _, row in found[at : at + 3])
        chance, reviews = f"{leak.row.chance:.2%}", f"{leak.row.n:,}"
        table.add_row(f"{category}: {leak.embedder}", f"{leak.fitted_to}{texts}", *accuracies, chance, reviews)
    resources.console.print(table)
    return [{"category": category, **leak._asdict(), "row": vars(leak.row)} for category, leak in found]


def _planted(resources: Resources, rows: list[TraitRow]) -> list[dict[str, Any]]:
    """Print and return how well each kind of vector finds the planted traits, and its difference from `his`."""
    title = "Which traits has the author of a review? AUC from one review, held-out users"
    table = Table(title=title, title_justify="left")
    for column in ("trait", "vectors", "AUC", "95%", "less his", "95% ", "reviews"):
        table.add_column(column, justify="left" if column in ("trait", "vectors") else "right")
    of_his = {row.trait: row.auc_U.numpy() for row in rows if row.vectors == "his"}
    result = []
    for row in rows:
        mean, gain = mean_interval(row.auc_U.numpy()), paired(row.auc_U.numpy(), of_his[row.trait])
        table.add_row(
            row.trait, row.vectors, f"{mean.value:.3f}", f"{mean.low:.3f} to {mean.high:.3f}",
            f"{gain.delta:+.3f}", f"{gain.low:+.3f} to {gain.high:+.3f}", f"{row.n:,}",
        )  # fmt: skip
        interval = {"auc": mean.value, "ci_low": mean.low, "ci_high": mean.high}
        versus_his = {"less_his": gain.delta, "less_his_low": gain.low, "less_his_high": gain.high}
        result.append(
            {"trait": row.trait, "vectors": row.vectors, **interval, **versus_his, "n": row.n, "users": len(row.auc_U)}
        )
    resources.console.print(table)
    return result
