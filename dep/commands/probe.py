"""`dep probe` measures, without a language model, how much reviews' vectors tell about their author."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from dep.commands.base import Command
from dep.config.schema import RunConfig
from dep.data.sources import PlantedSource
from dep.data.synthetic.trait_probe import TraitRow
from dep.evaluation.author_probe import probe, user_rows
from dep.evaluation.significance import mean_interval, paired
from dep.pipeline.resources import Resources
from dep.pipeline.stages.vectors import print_notes
from dep.utils.atomic_io import write_json


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
        for row in probe(corpus, vectors[category], user_rows(prepared.examples, category)):
            result["author"].append({"category": category, **vars(row)})
            table.add_row(
                category, row.vectors, f"{row.accuracy:.1%}", f"{row.low:.1%} to {row.high:.1%}", f"{row.mrr:.3f}",
                f"{row.chance:.2%}", f"{row.n:,}",
            )  # fmt: skip
    resources.console.print(table)
    if isinstance(resources.source, PlantedSource):
        result["planted"] = _planted(resources, resources.source.planted(corpora, vectors))
    path = Path(run.runs) / run.name / "probe.json"
    write_json(path, result)
    resources.console.print(f"[bold]probe[/] {path}")
    return result


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
