"""Judges predictions or an adapter on a run's requests: scores, comparisons with the run's controls, and sentences.

<run>/judge/<name>/judge.json    everything below; judge.html and judge.md show it, replies.jsonl has raw replies
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dep.data.sources import SyntheticSource
from dep.data.synthetic.permuted import permuted_targets
from dep.evaluation.metrics import HistoryMetric, Metric, ModelMetric, metric_class
from dep.evaluation.scores import ALL, score_examples, summarise
from dep.judging.attribution import Compared, made_of
from dep.judging.controls import Part, RunArm, chosen, command_with, missing
from dep.judging.finished_run import FinishedRun
from dep.judging.prediction_file import Answers, read_predictions
from dep.reporting.verdicts import verdicts
from dep.utils.atomic_io import write_json
from dep.utils.errors import DepError

JUDGED, STRANGER = "judged", "judged_stranger"
"""The names of the judged system and of itself with a stranger's past, in the place of an arm's name."""


@dataclass
class _Judged:
    """What is judged."""

    label: str
    own: Answers
    stranger: Answers | None
    text: bool
    notes: list[str]
    reads_user: bool = True
    """Whether it reads anything of the user; a file of predictions does not say, and is taken to."""


def judge(run: FinishedRun, what: Path, command: str) -> dict[str, Any]:
    """Judge `what` on the requests of a run, and write judge.json.

    Args:
        run: the run.
        what: a file of predictions, or the folder of a trained adapter.
        command: the command line, which the report shows.

    Returns:
        The content of judge.json.

    Raises:
        DepError: the predictions do not fit the run, or nothing can be compared; the message names the way out.
    """
    folder = folder_of(run, what)
    judged = _adapter(run, what, folder) if what.is_dir() else _file(run, what)
    metrics, notes = run.metrics()
    measured = {"nll"} if "nll" in next(iter(judged.own.values()))[0] else set()
    metrics = {n: m for n, m in metrics.items() if n in measured or not isinstance(m, ModelMetric)}
    if not metrics:
        raise DepError(
            str(run.folder), "generated texts, or predictions with `nll`", "neither",
            "run it with evaluate.texts=true, or add `nll` to each line",
        )  # fmt: skip
    found = chosen(run.arms, judged.text)
    own = {JUDGED: judged.own} | ({STRANGER: judged.stranger} if judged.stranger else {})
    scores = {key: rows for arm in found.values() for key, rows in _known(run.scores(arm), metrics).items()}
    mine = {(name, seed): _scored(run, rows, metrics) for name, of in own.items() for seed, rows in of.items()}
    labels = {JUDGED: judged.label, STRANGER: f"{judged.label}, a stranger's past"}
    labels |= {arm.name: arm.label for arm in found.values()}
    others = [name for name in own if name != JUDGED] + [arm.name for arm in found.values()]
    config = run.config.evaluate
    results: dict[str, Any] = summarise(
        mine | scores, [(JUDGED, other) for other in others], run.config.name, labels=labels, n_boot=config.n_boot,
        seed=config.seed, progress=True,
    )  # fmt: skip
    results["arms"] = {name: {"label": labels[name], "role": _role(name, found)} for name in (JUDGED, *others)}
    results |= {
        "format": 1, "judged": {"label": judged.label, "source": str(what), "seeds": sorted(judged.own)},
        "run": {"name": run.config.name, "folder": str(run.folder), "requests": len(run.requests)},
        "command": command, "controls": {part: arm.name for part, arm in found.items()},
        "made_of": _made_of(run, judged, results, found, labels), "permuted": _permuted(run),
        "notes": [*judged.notes, *notes], "llm": None,
        "signatures": {name: metric.signature for name, metric in metrics.items()},
        "showcase": _showcase(run, judged.own, found),
    }  # fmt: skip
    if config.judge.model:
        results["llm"] = _llm(run, own, found, mine | scores, metrics, folder)
    write_json(folder / "judge.json", results)
    return results


def folder_of(run: FinishedRun, what: Path) -> Path:
    """Return the folder for the results on `what`."""
    name = "-".join(what.resolve().parts[-3:]) if what.is_dir() else what.stem
    return run.folder / "judge" / name


def _file(run: FinishedRun, path: Path) -> _Judged:
    config = run.config.evaluate.judge
    own = read_predictions(path, run.requests)
    stranger = read_predictions(Path(config.stranger), run.requests) if config.stranger else None
    notes = []
    rows = [row for of_seed in own.values() for row in of_seed]
    if empty := sum(not row["prediction"].strip() for row in rows):
        notes.append(
            f"{empty} of the {len(rows)} texts {'is' if empty == 1 else 'are'} empty, and an empty text scores 0."
        )
    if "nll" in next(iter(own.values()))[0]:
        notes.append("The NLL is as the file gives it; it can be compared only if the same tokens were counted.")
    return _Judged(path.stem, own, stranger, config.past_texts, notes)


def _adapter(run: FinishedRun, folder: Path, work: Path) -> _Judged:
    from dep.judging.adapter_predictions import answer

    found = answer(run, folder, work)
    note = "The adapter was trained on another language model than the run's, so that NLLs cannot be compared."
    label = "/".join(folder.resolve().parts[-2:])
    notes = [] if found.same_backbone else [note]
    return _Judged(label, found.own, found.stranger, found.text, notes, found.text or found.stranger is not None)


def _scored(run: FinishedRun, rows: Sequence[Mapping[str, Any]], metrics: Mapping[str, Metric]) -> list[dict[str, Any]]:
    if any(isinstance(metric, HistoryMetric) for metric in metrics.values()):
        from dep.pipeline.stages.evaluate import with_past_texts

        rows = with_past_texts(rows, run.dataset)
    return score_examples(rows, metrics)


def _known(
    scores: Mapping[tuple[str, int], Sequence[Mapping[str, Any]]], metrics: Mapping[str, Metric]
) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """Keep in an arm's score rows the metrics that are compared."""
    kept = {"key", "category", "user", *metrics}
    return {key: [{n: v for n, v in row.items() if n in kept} for row in rows] for key, rows in scores.items()}


def _role(name: str, found: Mapping[Part, RunArm]) -> str:
    if name == JUDGED:
        return "own"
    part = next((part for part, arm in found.items() if arm.name == name), None)
    return "other" if part in ("rag", "own", "non_perso") else "control"


def _made_of(
    run: FinishedRun, judged: _Judged, results: Mapping[str, Any], found: Mapping[Part, RunArm],
    labels: Mapping[str, str],
) -> dict[str, Any]:  # fmt: skip
    """Return the metric in which the gain is told, and the sentences."""
    names = [row["metric"] for row in results["comparisons"]]
    lacking = missing(run.arms, judged.text)
    command = command_with(run.facts, run.config.arms, lacking)
    facts = {"missing": [asdict(part) for part in lacking], "add": command}
    if not names:
        return {"metric": None, "sentences": ["The run has no arm to compare with."], **facts}
    wanted = run.config.evaluate.judge.metric
    if wanted and wanted not in names:
        metric_class(wanted)
        raise DepError("evaluate.judge.metric", f"one of {', '.join(dict.fromkeys(names))}", wanted, "name one of them")
    metric = wanted or next((name for name in ("nll", "meteor") if name in names), names[0])
    part_of: dict[str, Part] = {arm.name: part for part, arm in found.items()} | {STRANGER: "stranger"}
    compared = [
        Compared(part_of[b], labels[b], verdict, b == STRANGER)
        for (_, b), of_pair in verdicts(results, ALL).items()
        for verdict in of_pair
        if verdict.metric == metric
    ]
    sentences = made_of(judged.label, compared, lacking, judged.reads_user)
    return {"metric": metric, "sentences": sentences, **facts}


def _permuted(run: FinishedRun) -> dict[str, Any] | None:
    """Say how many test reviews follow another user's traits; None for a world in which nothing was permuted."""
    source = run.resources.source if run.config.source.kind == "synthetic" else None
    if not isinstance(source, SyntheticSource) or not source.config.permute:
        return None
    examples = {example.key: example for example in run.dataset.examples if example.split == "test"}
    reviews = [run.dataset.corpora[examples[k].category].reviews[examples[k].row] for k in run.requests]
    borrowed = permuted_targets(
        source.path, [(examples[k].category, r) for k, r in zip(run.requests, reviews, strict=True)]
    )
    return {
        "requests": len(reviews), "permuted": borrowed,
        "sentence": f"In this world users exchanged their traits before the test: {borrowed} of {len(reviews)} test "
        "reviews have another user's traits, so that a user's past says nothing about them. A gain over the same "
        "system with a stranger's past would not be knowledge of the user.",
    }  # fmt: skip


def _showcase(run: FinishedRun, own: Answers, found: Mapping[Part, RunArm]) -> list[dict[str, Any]]:
    """Describe a few requests with the texts of all systems."""
    texts = {JUDGED: {row["key"]: row["prediction"] for row in next(iter(own.values()))}}
    texts |= {arm.name: {row["key"]: row["prediction"] for row in run.predictions(arm)} for arm in found.values()}
    step = max(1, len(run.requests) // max(1, run.config.evaluate.shown))
    keys = list(run.requests)[::step][: run.config.evaluate.shown]
    return [{**run.requests[key], "predictions": {name: of.get(key) for name, of in texts.items()}} for key in keys]


def _llm(
    run: FinishedRun, own: Mapping[str, Answers], found: Mapping[Part, RunArm],
    scores: Mapping[tuple[str, int], Sequence[Mapping[str, Any]]], metrics: Mapping[str, Metric], folder: Path,
) -> dict[str, Any]:  # fmt: skip
    """Let the language model judge the texts of the first seed of each system."""
    from dep.judging.llm_judge import judge_texts

    rows = {name: next(iter(of.values())) for name, of in own.items()}
    rows |= {arm.name: run.predictions(arm) for arm in found.values()}
    texts = {name: {row["key"]: row["prediction"] or "" for row in of} for name, of in rows.items()}
    first = {name: min(seed for arm, seed in scores if arm == name) for name in texts}
    by_key = {name: {str(row["key"]): row for row in scores[name, first[name]]} for name in texts}
    folder.mkdir(parents=True, exist_ok=True)
    return judge_texts(run, JUDGED, texts, by_key, metrics, folder / "replies.jsonl")
