"""Summarises a run's scores: writes results.json, run.json, showcase.json and the report."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from dep import __version__
from dep.config.loader import to_yaml
from dep.config.schema import RunConfig, as_dict, identity, pairs
from dep.data.statistics import statistics_of
from dep.evaluation.metrics import HistoryMetric, load_metric
from dep.evaluation.scores import summarise
from dep.pipeline.arm import Arm
from dep.pipeline.builders import build_data
from dep.pipeline.keys import adapter_key, score_key
from dep.pipeline.past_reviews import PastReviews
from dep.pipeline.personal.card import write_cards
from dep.pipeline.request_cost import costs
from dep.pipeline.resources import Resources
from dep.pipeline.stages.evaluate import with_past_texts
from dep.pipeline.store import ArmStore
from dep.reporting import print_costs, print_table, print_texts, write_report
from dep.types import Corpus
from dep.utils.atomic_io import read_json, read_rows, write_json, write_text
from dep.utils.errors import DepError, MissingFile

_PROVENANCE = ("started", "seconds", "command")
"""The fields of run.json that describe the call by which the results were made."""


def report(
    resources: Resources, run: RunConfig, arms: Sequence[Arm], command: str, started: float, recompute: bool = True
) -> Path:
    """Write the results and the report of a run, and print the table.

    Args:
        resources: the reviews and metrics of the run.
        run: the run's configuration.
        arms: all scored arms of the run.
        command: the command line, which the report shows.
        started: the time at which the call started, in seconds since 1970.
        recompute: whether results.json is computed again even if it was made from the same scores.

    Returns:
        The path of report.html.

    Raises:
        MissingFile: an arm has not been scored.
        DepError: two arms have the same name and seed.
    """
    check_names(arms)
    folder = Path(run.runs) / run.name
    scores = {}
    for arm in arms:
        if not ArmStore(arm).finished("evaluate"):
            raise MissingFile(f"{arm.folder}: no scores of {arm.label} as configured; run `dep evaluate` first")
        scores[arm.name, arm.seed] = read_rows(arm.folder / "scores.jsonl")
    labels = {arm.name: arm.label for arm in arms}
    own_metrics = _own_metrics(arms)
    made_from = {
        "keyed_by": "arm",
        "version": __version__,
        "scores": {f"{arm.name}/{arm.seed}": [arm.label, score_key(arm)] for arm in arms},
        "compare": [list(pair) for pair in pairs(run)],
        "bootstrap": [run.evaluate.n_boot, run.evaluate.seed],
    }
    unchanged = not recompute and read_json(folder / "made_from.json") == made_from
    results = read_json(folder / "results.json") if unchanged else {}
    results = results or {
        **summarise(
            scores, pairs(run), run.name, labels=labels, n_boot=run.evaluate.n_boot, seed=run.evaluate.seed,
            progress=len(scores) > 1,
        ),
        "arms": arm_facts(run, arms),
        "metrics": own_metrics,
    }  # fmt: skip
    write_text(folder / "config.yaml", to_yaml(run))
    facts = _facts(resources, run, arms, command, started)
    if read_json(folder / "results.json") == results:  # a later call of a finished run keeps its provenance
        facts |= {name: value for name, value in read_json(folder / "run.json").items() if name in _PROVENANCE}
    write_json(folder / "run.json", facts)
    showcase = _showcase(resources, arms)
    write_json(folder / "showcase.json", showcase)
    write_json(folder / "results.json", results)
    write_json(folder / "made_from.json", made_from)
    write_cards(folder)
    path = write_report(folder)
    print_table(results, resources.console)
    print_costs(facts["costs"], resources.console, labels)
    if run.evaluate.print_texts:
        print_texts(showcase, resources.console, labels)
    if facts["warning"]:
        resources.console.print(f"[yellow]{facts['warning']}[/]")
    return path


def check_names(arms: Sequence[Arm]) -> None:
    """Check that no two arms have the same name and seed, by which all results are identified.

    Raises:
        DepError: two arms have the same name and seed.
    """
    (name, seed), count = Counter((arm.name, arm.seed) for arm in arms).most_common(1)[0]
    if count > 1:
        raise DepError(
            "arms", "a name of its own for each arm", f"{count} arms called {name!r} with seed {seed}",
            "name each arm once, and each value in `vary` once",
        )  # fmt: skip


def arm_facts(run: RunConfig, arms: Sequence[Arm]) -> dict[str, dict[str, Any]]:
    """Describe each arm for results.json, by the arm's name.

    Returns:
        For each arm: `label`; `role`, that of its method (own, control, other); `varied`, its values of the keys in
        `vary`; and `base` and `base_label`, its name and label without these values. Arms that differ only in varied
        values have the same base. For a trained arm `training_past_reviews`: the past reviews that its training prompts
        asked for and kept.
    """
    facts: dict[str, dict[str, Any]] = {}
    for arm in arms:
        varied = {key: _setting(arm.config, key) for key in run.vary}
        settings = [f"{key.rsplit('.', 1)[-1]}={value}" for key, value in varied.items()]
        facts[arm.name] = {
            "label": arm.label,
            "role": arm.method.role,
            "varied": varied,
            "base": arm.name.removesuffix("".join(f"@{setting}" for setting in settings)),
            "base_label": arm.label.removesuffix("".join(f", {setting}" for setting in settings)),
        }
        if arm.method.trains and (trained := PastReviews.of_training(arm.folder)):
            facts[arm.name]["training_past_reviews"] = trained._asdict()
    return facts


def _setting(config: RunConfig, key: str) -> Any:
    value: Any = as_dict(config)
    for name in key.split("."):
        value = value[name]
    return value


def _own_metrics(arms: Sequence[Arm]) -> dict[str, str]:
    """Map the columns of the user's own metrics to `module:Class`, so that a later process can import them."""
    named = {name for arm in arms for name in arm.config.evaluate.metrics.names if ":" in name}
    return {load_metric(name).name: name for name in sorted(named)}


def _facts(resources: Resources, run: RunConfig, arms: Sequence[Arm], command: str, started: float) -> dict[str, Any]:
    prepared, measured = resources.prepared(run), costs(arms)
    return {
        "name": run.name,
        "started": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(started)),
        "seconds": round(time.time() - started, 1),
        "command": command,
        "config": as_dict(run),
        "statistics": asdict(statistics_of(prepared.corpora, prepared.examples)),
        "costs": measured,
        "reused": _reused(arms),
        "warning": " ".join(filter(None, [_warning(run), *lost_history(arms, measured)])),
        "signatures": {name: metric.signature for name, metric in resources.metrics(run).items()},
        "ceilings": _ceilings(resources, run, arms[0]),
    }


def _ceilings(resources: Resources, run: RunConfig, arm: Arm) -> dict[str, float]:
    """Return the values of the users' real reviews for the metrics that compare texts with past reviews."""
    metrics = {name: m for name, m in resources.metrics(run).items() if isinstance(m, HistoryMetric)}
    if not metrics:
        return {}
    rows = with_past_texts(read_rows(arm.folder / "predictions.jsonl"), resources.prepared(arm.config))
    return {name: metric.ceiling(rows) for name, metric in metrics.items()}


def lost_history(arms: Sequence[Arm], measured: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a warning for each arm some of whose prompts hold no past review although the requests asked for one.

    Args:
        arms: the arms.
        measured: the costs of these arms, from `dep.pipeline.request_cost.costs`.
    """
    labels = {arm.name: arm.label for arm in arms}
    warnings = []
    for name, row in measured.items():
        warnings.append(PastReviews(**row["past_reviews"]).warning(labels[name]))
        if trained := row.get("training_past_reviews"):
            warnings.append(PastReviews(**trained).warning(f"{labels[name]}, training"))
    return [warning for warning in warnings if warning]


def _warning(run: RunConfig) -> str:
    """Return the warning that the report prints before all numbers; empty if there is nothing to warn of."""
    if run.backbone.name_or_path != "demo" or run.source.kind == "synthetic":
        return ""
    return (
        "These reviews were read and written by the built-in backbone, which knows the language of the built-in world "
        "and no other: the numbers show that everything runs, and say nothing about personalization."
    )


def _reused(arms: Sequence[Arm]) -> dict[str, int]:
    """Describe how many results arms share, and how many were copied from an earlier run by the cache."""
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
    """Describe a few test requests, with their past reviews and the texts of all arms, for showcase.json."""
    first = min(arm.seed for arm in arms)
    written = {
        arm.name: {row["key"]: row for row in read_rows(arm.folder / "predictions.jsonl")}
        for arm in arms
        if arm.seed == first
    }
    prepared = resources.prepared(arms[0].config)
    longest = max(arms, key=lambda arm: arm.configured[0].history)
    requests = build_data(resources, longest).requests("test")
    owners = [(e.category, prepared.corpora[e.category].reviews[e.row].user) for e in requests.examples]
    drawn = _draw_requests(owners, arms[0].config.evaluate.shown)
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


def _draw_requests(owners: Sequence[tuple[str, str]], count: int) -> list[int]:
    """Draw requests with a fixed seed, from each category in turn, and of different users if possible.

    Args:
        owners: the category and the user of each request.
        count: how many requests are drawn; all of them if there are no more.

    Returns:
        The indices of the requests.
    """
    drawn: list[int] = []
    names = list(dict.fromkeys(category for category, _ in owners))
    members = {name: [at for at, (other, _) in enumerate(owners) if other == name] for name in names}
    for name in islice(cycle(names), count):
        left = [at for at in members[name] if at not in drawn]
        seen_users = {owners[at][1] for at in drawn}
        if left:
            drawn.append(random.Random(0).choice([at for at in left if owners[at][1] not in seen_users] or left))
    return drawn


def _peers(corpus: Corpus, user: str, slots: Sequence[Any]) -> list[Mapping[str, str]]:
    """Return up to three reviews that other users wrote about the item of the newest past review; none without one."""
    if not slots:
        return []
    item = slots[0].item
    others = [r for r in corpus.reviews if r.item == item.item and r.user != user]
    return [{"item_title": item.title, "text": review.text} for review in others[:3]]
