"""From the scores of a run's arms to what a person reads: results.json, run.json, showcase.json and the report."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dep import __version__
from dep.config.loader import to_yaml
from dep.config.schema import RunConfig, as_dict, identity, pairs
from dep.data.statistics import statistics_of
from dep.evaluation.scores import summarise
from dep.pipeline.arm import Arm
from dep.pipeline.builders import build_data
from dep.pipeline.keys import adapter_key, score_key
from dep.pipeline.request_cost import costs
from dep.pipeline.resources import Resources
from dep.pipeline.store import ArmStore
from dep.reporting import print_given, print_table, write_report
from dep.types import Corpus
from dep.utils.atomic_io import read_json, read_rows, write_json, write_text

_HOW = ("started", "seconds", "command")
"""What run.json says of the call that made the results."""
SHOWN = 3
"""Examples that the report shows side by side."""


def report(
    resources: Resources, run: RunConfig, arms: Sequence[Arm], command: str, started: float, anew: bool = True
) -> Path:
    """Write what the scores say, and print the table.

    Args:
        resources: gives reviews and metrics.
        run: the run.
        arms: all of its arms, scored.
        command: what was typed.
        started: when, in seconds since 1970.
        anew: make results.json again though the one that is there was made from the same scores.

    Raises:
        FileNotFoundError: an arm has not been scored.
    """
    folder = Path(run.runs) / run.name
    scores = {}
    for arm in arms:
        if not ArmStore(arm).finished("evaluate"):
            raise FileNotFoundError(f"{arm.folder}: no scores of {arm.label} as configured; run `dep evaluate` first")
        scores[arm.label, arm.seed] = read_rows(arm.folder / "scores.jsonl")
    labels = {arm.name: arm.label for arm in arms}
    wanted = [(labels[a], labels[b]) for a, b in pairs(run)]
    made_from = {
        "version": __version__,
        "scores": {f"{arm.name}/{arm.seed}": [arm.label, score_key(arm)] for arm in arms},
        "compare": [list(pair) for pair in wanted],
        "bootstrap": [run.evaluate.n_boot, run.evaluate.seed],
    }
    results = {} if anew or read_json(folder / "made_from.json") != made_from else read_json(folder / "results.json")
    results = results or summarise(
        scores, wanted, run.name, n_boot=run.evaluate.n_boot, seed=run.evaluate.seed, progress=len(scores) > 1
    )
    write_text(folder / "config.yaml", to_yaml(run))
    facts = _facts(resources, run, arms, command, started)
    if read_json(folder / "results.json") == results:  # a later call of a finished run: how it came about stays
        facts |= {name: value for name, value in read_json(folder / "run.json").items() if name in _HOW}
    write_json(folder / "run.json", facts)
    write_json(folder / "showcase.json", _showcase(resources, arms))
    write_json(folder / "results.json", results)
    write_json(folder / "made_from.json", made_from)
    path = write_report(folder)
    print_table(results, resources.console)
    print_given(facts["costs"], resources.console)
    if facts["warning"]:
        resources.console.print(f"[yellow]{facts['warning']}[/]")
    return path


def _facts(resources: Resources, run: RunConfig, arms: Sequence[Arm], command: str, started: float) -> dict[str, Any]:
    prepared = resources.prepared(run)
    return {
        "name": run.name,
        "started": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(started)),
        "seconds": round(time.time() - started, 1),
        "command": command,
        "config": as_dict(run),
        "statistics": asdict(statistics_of(prepared.corpora, prepared.examples)),
        "labels": {arm.name: arm.label for arm in arms},
        "costs": costs(arms),
        "reused": _reused(arms),
        "warning": _warning(run),
        "signatures": {name: metric.signature for name, metric in resources.metrics(run).items()}
        | {"nll": "nll|value:mean over examples of the real review's NLL per token, in nats|end token:counted"},
    }


def _warning(run: RunConfig) -> str:
    """What a reader has to know before any number."""
    if run.backbone.name_or_path != "demo" or run.source.kind == "synthetic":
        return ""
    return (
        "These reviews were read and written by the built-in backbone, which knows the language of the built-in world "
        "and no other: the numbers show that everything runs, and say nothing about personalization."
    )


def _reused(arms: Sequence[Arm]) -> dict[str, int]:
    """What was resources among the arms, or taken from the cache where an earlier run had left it."""
    training = [arm for arm in arms if arm.method.trains]
    keys = {adapter_key(arm) for arm in training}
    vectors = {identity(arm.config, "embedder", "difference", "protocol") for arm in arms if arm.needs_vectors}
    return {
        "arms": len(arms),
        "training_arms": len(training),
        "adapters": len(keys),
        "taken_adapters": len(
            keys - {adapter_key(arm) for arm in training if not ArmStore(arm).has_mark("adapter taken from")}
        ),
        "taken_predictions": sum(ArmStore(arm).has_mark("predictions taken from") for arm in arms),
        "taken_scores": sum(ArmStore(arm).has_mark("scores taken from") for arm in arms),
        "vectors": len(vectors),
    }


def _showcase(resources: Resources, arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """A few test requests, drawn by a fixed seed, with what stands behind them."""
    first = min(arm.seed for arm in arms)
    written = {
        arm.label: {row["key"]: row for row in read_rows(arm.folder / "predictions.jsonl")}
        for arm in arms
        if arm.seed == first
    }
    prepared = resources.prepared(arms[0].config)
    longest = max(arms, key=lambda arm: arm.configured[0].history)
    requests = build_data(resources, longest).requests("test")
    drawn = _drawn([(e.category, prepared.corpora[e.category].reviews[e.row].user) for e in requests.examples])
    shown = []
    for at in drawn:
        request, example = requests[at], requests.examples[at]
        shown.append(
            {
                "key": request.key, "category": request.category, "user": request.user,
                "item_title": request.item.title, "item_description": request.item.description,
                "rating": request.rating, "title": request.title, "reference": request.text,
                "past_reviews": [
                    {"item_title": slot.item.title, "rating": slot.review.rating, "title": slot.review.title,
                     "text": slot.review.text}
                    for slot in request.slots
                ],
                "peer_reviews": _peers(prepared.corpora[example.category], request.user, request.slots),
                "predictions": {name: rows.get(request.key, {}).get("prediction") for name, rows in written.items()},
                "steps": {
                    name: rows[request.key]["steps"]
                    for name, rows in written.items()
                    if rows.get(request.key, {}).get("steps")
                },
            }
        )  # fmt: skip
    return shown


def _drawn(asked: Sequence[tuple[str, str]]) -> list[int]:
    """One request of each category, by a fixed seed; of different users as far as there are any."""
    drawn: list[int] = []
    for category in list(dict.fromkeys(category for category, _ in asked))[:SHOWN]:
        members = [at for at, (other, _) in enumerate(asked) if other == category]
        met = {asked[at][1] for at in drawn}
        drawn.append(random.Random(0).choice([at for at in members if asked[at][1] not in met] or members))
    return drawn


def _peers(corpus: Corpus, user: str, slots: Sequence[Any]) -> list[Mapping[str, str]]:
    """What others wrote of the newest past item."""
    if not slots:
        return []
    item = slots[0].item
    others = [r for r in corpus.reviews if r.item == item.item and r.user != user]
    return [{"item_title": item.title, "text": review.text} for review in others[:3]]
