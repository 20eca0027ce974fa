"""Writes one page about all sets of the study: verdicts first, then each set's headroom, probe, tables and tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from dep.evaluation.metrics import metric_class
from dep.reporting.tables import Results, Table, arm_labels, categories, main_table, number, signed, title
from dep.reporting.verdicts import verdicts
from dep.utils.atomic_io import read_json, write_json
from experiments.paper.claims import HOLDS
from experiments.study import groups, headroom_report, page
from experiments.study.criteria import criteria
from experiments.study.page import Section

FIRST = "nll"
"""The metric that has a table of its own, before all others."""


def write(runs: Path, names: Mapping[str, Path], strangers: Mapping[str, str], console: Console) -> Path:
    """Write study/report.html, report.md and verdicts.json into the folder of runs; return the path of the page.

    Args:
        runs: the folder of runs.
        names: the folder of the run of each set; a set whose run has no results shows what it has.
        strangers: for each of our arms, its control with another user's vectors.
        console: prints the verdicts.
    """
    first = verdict_section(names, strangers)
    sections = [first]
    for name, run in names.items():
        sections += of_set(name, run, strangers)
    path = page.write(runs / "study", "report", "Does it know real people?", sections)
    heads = ("set", "criterion", "value", "interval", "holds")
    write_json(runs / "study" / "verdicts.json", [dict(zip(heads, row, strict=True)) for row in first.rows])
    console.print(first.terminal())
    console.print(f"[bold]report[/] {path}")
    return path


def verdict_section(names: Mapping[str, Path], strangers: Mapping[str, str]) -> Section:
    """Return the table of the criterion's parts on each set, with a line for the whole criterion."""
    rows = []
    for name, run in names.items():
        if not (run / "results.json").is_file():
            continue
        parts = criteria(run, strangers)
        for part in parts:
            interval = f"{part.low:+.4f} to {part.high:+.4f}".replace("-", "−")
            rows.append([name, part.text, f"{part.value:+.4f}".replace("-", "−"), interval, part.outcome])
        if needed := [part for part in parts if part.counts]:
            held = sum(part.outcome == HOLDS for part in needed)
            whole = "holds" if held == len(needed) else "does not hold"
            rows.append([name, f"all of these: {held} of {len(needed)} parts hold", "", "", whole])
    note = (
        "Values are differences of NLL in nats a token, above 0 where the part holds, with 95% intervals over the test "
        "users. The best of our arms was chosen by the NLL of validation examples. “Not shown” means that the interval "
        "includes 0."
    )
    return Section("Verdict", note, ["set", "criterion", "value", "interval", "holds"], rows)


def of_set(name: str, run: Path, strangers: Mapping[str, str]) -> list[Section]:
    """Return the sections of one set, as far as its files exist."""
    sections = [Section(name.replace("_", " "))]
    if headroom := read_json(run / "headroom.json"):
        shown = headroom_report.section(headroom)
        sections.append(Section(shown.title, shown.note, shown.heads, shown.rows, shown.picture, level=3))
    if probe := read_json(run / "probe.json"):
        sections.append(probe_section(probe["author"]))
    if (run / "results.json").is_file():
        results = json.loads((run / "results.json").read_text("utf-8"))
        sections += result_sections(results, read_json(run / "run.json").get("ceilings") or {})
        labels, names = arm_labels(results), list(results["arms"])
        ours = [arm for arm in strangers if arm in names]
        for suffix in ("_notext", ""):
            arms = [arm for arm in ours if arm.endswith("_notext") == bool(suffix)]
            if arms and f"constant{suffix}" in names:
                sections.append(groups.section(run, arms, f"constant{suffix}", labels))
    return sections


def probe_section(rows: Sequence[Mapping[str, float]]) -> Section:
    """Return the table of the probe: how often vectors identify the author of a review."""
    heads = ["vectors", "category", "accuracy", "95%", "MRR", "chance", "reviews"]
    cells = [
        [
            str(row["vectors"]), str(row["category"]), f"{row['accuracy']:.1%}",
            f"{row['low']:.1%} to {row['high']:.1%}", f"{row['mrr']:.3f}", f"{row['chance']:.2%}", f"{row['n']:,}",
        ]
        for row in rows
    ]  # fmt: skip
    return Section("Probe: whose review is it?", "Nearest user centroid, leave one out.", heads, cells, level=3)


def result_sections(results: Results, ceilings: Mapping[str, float]) -> list[Section]:
    """Return the table of NLL, the table of all other metrics, and the paired tests."""
    category = categories(results)[0]
    table, labels = main_table(results, category), arm_labels(results)
    nll = [[labels[arm], _cell(table, arm, FIRST, True), str(table.seeds(arm) or 1)] for arm in table.arms]
    sections = [
        Section("NLL of the real review", f"{table.n:,} test reviews.", ["arm", title(FIRST), "seeds"], nll, level=3)
    ]
    others = [metric for metric in table.metrics if metric != FIRST]
    if others:
        rows = [[labels[arm], *(_cell(table, arm, metric, False) for metric in others)] for arm in table.arms]
        rows.append(["the users' real reviews", *(_ceiling(ceilings, metric) for metric in others)])
        note = (
            "Scores of the generated reviews; the last row is what the real reviews score, where that is not trivial."
        )
        sections.append(Section("Other metrics", note, ["arm", *map(title, others)], rows, level=3))
    tests = [
        [
            f"{labels.get(a, a)} − {labels.get(b, b)}", metric_class(v.metric).label, signed(v.metric, v.delta),
            f"{signed(v.metric, v.low)} to {signed(v.metric, v.high)}", f"{v.p:.4f}", f"{v.holm:.4f}", v.text,
            f"{v.n:,}",
        ]
        for (a, b), pair in verdicts(results, category).items()
        for v in sorted(pair, key=lambda v: v.metric != FIRST)
    ]  # fmt: skip
    note = (
        "Both arms on the same requests; tests and intervals over users; Holm's correction over all pairs of a metric."
    )
    heads = ["a − b", "metric", "difference", "95%", "p", "p, corrected", "a is", "n"]
    return [*sections, Section("Paired tests", note, heads, tests, level=3)]


def _cell(table: Table, arm: str, metric: str, interval: bool) -> str:
    cell = table.cells.get((arm, metric))
    if cell is None:
        return "–"
    if not interval:
        return number(metric, cell.value)
    return f"{number(metric, cell.value)} ({number(metric, cell.low)} to {number(metric, cell.high)})"


def _ceiling(ceilings: Mapping[str, float], metric: str) -> str:
    return number(metric, ceilings[metric]) if metric in ceilings else "–"
