"""Lets a language model judge the texts of a judged system and of the run's controls, and summarises its replies.

    scores       mean score from 0 to 10 of each system, with its interval
    differences  the judged system's score minus that of each control, on the requests that have both
    preferences  the share of requests on which the judged system is preferred to a control: 1 if both orders of the
                 pair prefer it, 0 if both prefer the control, 1/2 for a tie or where the order decides
    agreement    rank correlation of the scores with each metric, over all scored texts

A reply without an answer is missing: it enters no mean, and the number of missing ones stands beside each value.
Intervals and tests resample users, as all others do; Holm's correction is for the number of controls.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dep.evaluation.metrics import Metric, ModelMetric
from dep.evaluation.rank_correlation import rank_correlation
from dep.evaluation.significance import Comparison, holm, mean_interval, paired
from dep.judging.finished_run import FinishedRun
from dep.judging.llm_questions import Question, Shown, pair_questions, read_pair, read_score, score_question
from dep.judging.llm_replies import ask

LEVEL = 0.05
Texts = Mapping[str, str]
"""The texts of one system by the request's key."""
Scores = Mapping[str, Mapping[str, Any]]
"""The score rows of one system by the request's key."""


def judge_texts(
    run: FinishedRun,
    judged: str,
    texts: Mapping[str, Texts],
    scores: Mapping[str, Scores],
    metrics: Mapping[str, Metric],
    path: Path,
) -> dict[str, Any]:
    """Ask the language model about all texts, and summarise its replies for judge.json.

    Args:
        run: the run, whose settings name the server and the model.
        judged: the name of the judged system.
        texts: the texts of each system, the judged one included.
        scores: their score rows by the metrics.
        metrics: the metrics by column.
        path: the file in which the raw replies are kept.

    Raises:
        DepError: no call to the server succeeds; see `ask`.
    """  # fmt: skip
    config = run.config.evaluate.judge
    keys = list(run.requests)
    if 0 < config.requests < len(keys):
        drawn = set(random.Random(0).sample(keys, config.requests))
        keys = [key for key in keys if key in drawn]
    questions = _questions(run, judged, texts, keys)
    replies = list(zip(questions, ask(questions, config, path), strict=True))
    given = {
        arm: {q.key: read_score(reply) for q, reply in replies if q.kind == "score" and q.arms == (arm,)}
        for arm in texts
    }
    users = {key: str(run.requests[key]["user"]) for key in keys}
    boot = run.config.evaluate.n_boot, run.config.evaluate.seed
    controls = [arm for arm in texts if arm != judged]
    differences, preferences = [], []
    for arm in controls:
        both = [key for key in keys if given[judged][key] is not None and given[arm][key] is not None]
        differences.append(_compared(arm, both, len(keys), [given[judged], given[arm]], users, boot))
        outcome, flips = _preferences(replies, judged, arm, keys)
        rest = {key: None if value is None else 1 - value for key, value in outcome.items()}
        known = [key for key in keys if outcome[key] is not None]
        preferences.append(_compared(arm, known, len(keys), [outcome, rest], users, boot) | {"flips": flips})
    return {
        "model": config.model, "requests": len(keys), "calls": len(questions),
        "scores": [_mean(arm, given[arm], users, boot) for arm in texts],
        "differences": _corrected(differences),
        "preferences": [_as_share(row) for row in _corrected(preferences)],
        "agreement": _agreement(given, scores, metrics, users, boot),
        "replies": path.name,
    }  # fmt: skip


def _questions(run: FinishedRun, judged: str, texts: Mapping[str, Texts], keys: Sequence[str]) -> list[Question]:
    dataset, questions = run.dataset, []
    examples = {example.key: example for example in dataset.examples if example.split == "test"}
    for key in keys:
        example = examples[key]
        corpus = dataset.corpora[example.category]
        target, newest = corpus.reviews[example.row], example.profile[::-1][: run.config.evaluate.judge.past_reviews]
        past = [(corpus.items[corpus.reviews[row].item], corpus.reviews[row]) for row in newest]
        shown = Shown(corpus.items[target.item], target.rating, target.title, target.text, past)
        questions += [score_question(key, arm, of_arm[key], shown) for arm, of_arm in texts.items()]
        for arm in texts:
            if arm != judged:
                questions += pair_questions(key, (judged, arm), (texts[judged][key], texts[arm][key]), shown)
    return questions


def _preferences(
    replies: Sequence[tuple[Question, str | None]], judged: str, arm: str, keys: Sequence[str]
) -> tuple[dict[str, float | None], int]:
    """Return for each request how far the judged system is preferred, and how often the order decided."""
    by_order: dict[tuple[str, str], float | None] = {}
    for question, reply in replies:
        if question.kind == "pair" and set(question.arms) == {judged, arm}:
            for_first = read_pair(reply)
            mine = for_first if question.arms[0] == judged or for_first is None else 1 - for_first
            by_order[question.key, question.arms[0]] = mine
    outcome: dict[str, float | None] = {}
    flips = 0
    for key in keys:
        one, other = by_order[key, judged], by_order[key, arm]
        if one is None or other is None:
            outcome[key] = None
            continue
        flips += abs(one - other) == 1
        outcome[key] = one if one == other else 0.5 + (one + other - 1) / 2
    return outcome, flips


Boot = tuple[int, int]
Values = Mapping[str, float | None]


def _mean(arm: str, values: Values, users: Mapping[str, str], boot: Boot) -> dict[str, Any]:
    present = {key: value for key, value in values.items() if value is not None}
    row = {"arm": arm, "n": len(present), "missing": len(values) - len(present)}
    if not present:
        return row | {"value": None, "ci_low": None, "ci_high": None}
    found = mean_interval(list(present.values()), [users[key] for key in present], *boot)
    return row | {"value": found.value, "ci_low": found.low, "ci_high": found.high}


def _compared(
    arm: str, keys: Sequence[str], asked: int, values: Sequence[Values], users: Mapping[str, str], boot: Boot
) -> dict[str, Any]:
    """Compare two columns on the requests that have both; a comparison without requests has no values."""
    row: dict[str, Any] = {"arm": arm, "n": len(keys), "missing": asked - len(keys)}
    if not keys:
        return row | dict.fromkeys(("delta", "ci_low", "ci_high", "p"))
    a, b = ([float(column[key] or 0.0) for key in keys] for column in values)  # none of them is None
    found: Comparison = paired(a, b, [users[key] for key in keys], *boot)
    return row | {"delta": found.delta, "ci_low": found.low, "ci_high": found.high, "p": found.p}


def _corrected(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add to each comparison its p-value after Holm's correction, and the verdict."""
    ps = iter(holm([row["p"] for row in rows if row["p"] is not None]))
    corrected = []
    for row in rows:
        p = None if row["p"] is None else next(ps)
        shown = p is not None and row["ci_low"] * row["ci_high"] > 0 and row["p"] < LEVEL
        direction = "better" if (row["delta"] or 0) > 0 else "worse"
        tone = "none" if not shown else direction if p is not None and p < LEVEL else "maybe"
        text = {"none": "no difference shown", "maybe": f"{direction}, uncorrected"}.get(tone, direction)
        corrected.append(row | {"holm": p, "tone": tone, "verdict": "no answers" if p is None else text})
    return corrected


def _as_share(row: dict[str, Any]) -> dict[str, Any]:
    """Turn a difference of shares, from −1 to 1, into the share of the judged system, from 0 to 1."""
    names = ("delta", "ci_low", "ci_high")
    share = {name: None if row[name] is None else (row[name] + 1) / 2 for name in names}
    return {**{name: value for name, value in row.items() if name != "delta"}, **share, "value": share["delta"]}


def _agreement(
    given: Mapping[str, Values], scores: Mapping[str, Scores], metrics: Mapping[str, Metric], users: Mapping[str, str],
    boot: Boot,
) -> list[dict[str, Any]]:  # fmt: skip
    """Correlate the language model's scores with each metric of texts, over all texts that both have scored."""
    rows = []
    for name, metric in metrics.items():
        if isinstance(metric, ModelMetric):
            continue
        sign = 1 if metric.higher_is_better else -1
        places = [
            (arm, key, value)
            for arm, values in given.items()
            for key, value in values.items()
            if value is not None and scores[arm][key].get(name) is not None
        ]
        judge = [value for _, _, value in places]
        column = [sign * metric.of_column([scores[arm][key][name]]) for arm, key, _ in places]
        found = rank_correlation(judge, column, [users[key] for _, key, _ in places], min(boot[0], 1000), boot[1])
        row = {"metric": name, "n": len(places)}
        if found is None or not places:
            rows.append(row | dict.fromkeys(("value", "ci_low", "ci_high")))
        else:
            rows.append(row | {"value": found.value, "ci_low": found.low, "ci_high": found.high})
    return rows
