"""Writes the model card of an adapter's folder, with what the adapter gains in the run that trained it.

The card says so if the adapter gains nothing, and if another user's vectors do as well as the user's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dep.reporting.tables import Results, arm_labels, categories, main_table, number, signed
from dep.reporting.verdicts import Verdict, verdicts
from dep.utils.atomic_io import read_json, write_text

_METRIC = "nll"
_CARD = """---
library_name: dep
tags: [personalization, dep, {method}]
---
# {label}

An adapter for the frozen language model `{backbone}`, trained by dep {version}: method `{method}`, seed {seed},
{trainable:,} trained parameters. It reads vectors of `{embedder}` ({width} numbers each).

```python
import dep

writer = dep.Personalizer.from_pretrained("this folder")    # checks that the backbone is the one it was trained on
past = [dep.PastReview(item="A lamp", text="Bright.", rating=5.0, peers=["Too bright."])]
print(writer.generate(past, item="A chair", rating=4.0))
```
`adapter_config.json` has the whole configuration, and the fingerprints of backbone and embedder.
{results}"""
_RESULTS = """
## What it gains
On {n} test reviews of the run `{run}`, by the negative log likelihood (NLL) of the real review in nats per token; the
intervals say how much a value would change with other users:

| arm | NLL ↓ | 95% over users |
|---|---|---|
{rows}

| paired difference | NLL | 95% over users | verdict |
|---|---|---|---|
{pairs}

{words}
{warning}"""


def card(facts: Mapping[str, Any], arm: str = "", run: Path | None = None) -> str:
    """Write the model card of an adapter.

    Args:
        facts: the content of adapter_config.json.
        arm: the adapter's arm in the run.
        run: the folder of the finished run; None for a card without results.
    """
    config = facts["config"]
    return _CARD.format(
        label=facts["label"], backbone=config["backbone"]["name_or_path"], version=facts["dep"],
        method=config["method"]["kind"], seed=facts["seed"], trainable=facts["trainable"],
        embedder=config["embedder"]["kind"], width=facts["width"],
        results="" if run is None else _results(arm, run),
    )  # fmt: skip


def write_cards(run: Path) -> None:
    """Write the results of a finished run into the model cards of all its adapters."""
    for path in sorted(run.glob("*/seed*/adapter_config.json")):
        write_text(path.with_name("README.md"), card(read_json(path), path.parents[1].name, run))


def _results(arm: str, run: Path) -> str:
    """Write the section on results; empty if the run has no likelihoods of the arm."""
    results = read_json(run / "results.json")
    category = categories(results)[0]
    table = main_table(results, category)
    if (arm, _METRIC) not in table.cells:
        return ""
    rows = [
        f"| {'**' if name == arm else ''}{table.labels[name]}{'**' if name == arm else ''} | "
        f"{number(_METRIC, cell.value)} | {number(_METRIC, cell.low)} to {number(_METRIC, cell.high)} |"
        for name in table.arms
        if (cell := table.cells.get((name, _METRIC)))
    ]
    compared = list(_compared(results, category, arm))
    labels = arm_labels(results)
    pairs = [
        f"| {labels[v.a]} − {labels[v.b]} | {signed(_METRIC, v.delta)} | {signed(_METRIC, v.low)} to "
        f"{signed(_METRIC, v.high)} | {labels[v.a]}: {v.text} |"
        for v in compared
    ]
    return _RESULTS.format(
        n=table.cells[arm, _METRIC].n, run=results["rows"][0]["run"], rows="\n".join(rows),
        pairs="\n".join(pairs or ["| none | | | |"]), words=" ".join(_words(compared, arm, labels)),
        warning=read_json(run / "run.json").get("warning", ""),
    )  # fmt: skip


def _compared(results: Results, category: str, arm: str) -> Iterator[Verdict]:
    """Yield the run's comparisons of an arm with others."""
    for pair, found in verdicts(results, category).items():
        if arm in pair:
            yield from (verdict for verdict in found if verdict.metric == _METRIC)


def _words(compared: list[Verdict], arm: str, labels: Mapping[str, str]) -> Iterator[str]:
    """Say in sentences what the adapter gains on the arms that it is compared with."""
    if not compared:
        yield "The run compares this adapter with no other arm, so that it shows no gain."
    for verdict in compared:
        other = verdict.b if verdict.a == arm else verdict.a
        sure = verdict.low * verdict.high > 0
        lower = (verdict.delta < 0) == (verdict.a == arm)
        amount = signed(_METRIC, abs(verdict.delta)).lstrip("+")
        if not sure:
            yield f"It gains nothing on {labels[other]} that the interval shows."
        elif lower:
            yield f"It gains {amount} nats per token on {labels[other]}."
        else:
            yield f"It loses {amount} nats per token to {labels[other]}."
