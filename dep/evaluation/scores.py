"""Scores predictions, and summarises the scores of all arms (the compared systems) in the tables of `results.json`.

A *score row* holds the scores of one example under one arm and seed: `{key, category, user, <metric>: number or
statistics, …}`. Before arms are compared, a metric that is a mean over examples is averaged over an arm's seeds for
each example. Any other metric, such as BLEU, is computed for each seed, and the results are averaged.

The intervals describe how much a value would change with other *users*. They do not include the spread over seeds,
which the rows of single seeds show. A metric's class states its unit. Arms are identified by name, not by label.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import lcm
from typing import Any

import numpy as np

from dep.evaluation.metrics import Metric, metric_class, ordered
from dep.evaluation.metrics.base import track
from dep.evaluation.significance import (
    Array,
    Function,
    paired_statistic,
    statistic_interval,
)
from dep.utils.errors import DepError

ALL = "all"
"""Name of the category that holds the examples of all categories."""

ScoreRow = Mapping[str, Any]
Table = dict[str, ScoreRow]
"""The score rows of one arm and seed, by the key of the example."""
_EXAMPLE = ("key", "category", "user")
"""The columns of a score row that are not metrics."""


def score_examples(
    rows: Sequence[Mapping[str, Any]], metrics: Mapping[str, Metric], *, progress: bool = False
) -> list[dict[str, Any]]:
    """Score predictions with every metric.

    Args:
        rows: lines of predictions.jsonl.
        metrics: metrics by name, from `build_metrics`.
        progress: whether each metric shows a progress bar.

    Returns:
        A score row for each prediction: key, category, user, and the value or statistics of each metric.
    """
    scores: list[dict[str, Any]] = [{name: row[name] for name in _EXAMPLE} for row in rows]
    for name, metric in metrics.items():
        for row, value in zip(scores, metric.score(rows, progress=progress), strict=True):
            row[name] = value
    return scores


def metrics_of(rows: Iterable[ScoreRow]) -> list[str]:
    """Return the names of all metrics in the score rows, in the order of tables.

    Raises:
        DepError: a column is not a known metric.
    """
    return ordered(name for row in rows for name in row if name not in _EXAMPLE)


def summarise(
    per_arm: Mapping[tuple[str, int], Sequence[ScoreRow]],
    pairs: Iterable[tuple[str, str]],
    run: str,
    *,
    labels: Mapping[str, str] | None = None,
    n_boot: int = 2000,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, list[dict[str, Any]]]:
    """Compute every value of a run with its interval, and every requested comparison.

    Args:
        per_arm: the score rows by (arm's name, seed).
        pairs: names of arms (a, b) to compare. The difference is a − b in the metric's unit, even if lower is better.
        run: the run's name.
        labels: the label of each arm in tables; None uses the names.
        n_boot: number of resamples for each interval and each test.
        seed: seed of the resamples.
        progress: whether a progress bar is shown.

    Returns:
        `rows`: {run, arm, label, category, metric, value, ci_low, ci_high, n, seed} for each arm, seed, category
        (and `all`) and metric. An arm with several seeds also has a row for their average, whose seed is None.
        `comparisons`: {a, b, category, metric, delta, ci_low, ci_high, p, n}, where p is not adjusted (see `holm`).

    Raises:
        DepError: the seeds of one arm, or two compared arms, have different examples; a key occurs twice; only some
            rows have a metric; or an arm in `pairs` has no scores.
    """
    arms = _tables(per_arm)
    compared = []
    for a, b in pairs:
        if unknown := sorted({a, b} - arms.keys()):
            raise DepError(f"cannot compare {a} with {b}: no scores of {unknown}; there are {sorted(arms)}")
        one, other = list(arms[a].values()), list(arms[b].values())
        _same_examples(a, one[0], b, other[0])
        compared += [(a, one, b, other, *place) for place in _places(one, other)]

    groups: list[tuple[str, int | None, list[Table]]] = []
    for arm, seeds in arms.items():
        groups += [(arm, number, [table]) for number, table in seeds.items()]
        if len(seeds) > 1:
            groups.append((arm, None, list(seeds.values())))
    cells = [(*group, *place) for group in groups for place in _places(group[2])]

    rows, comparisons = [], []
    for arm, number, tables, category, keys, metric in track(cells, "intervals", len(cells), progress):
        stats, function = _statistics(metric, tables, keys, len(tables))
        value, low, high, n = statistic_interval(stats, function, _users(tables[0], keys), n_boot, seed)
        label = (labels or {}).get(arm, arm)
        place = {"run": run, "arm": arm, "label": label, "category": category, "metric": metric}
        rows.append(place | {"value": value, "ci_low": low, "ci_high": high, "n": n, "seed": number})
    for a, one, b, other, category, keys, metric in track(compared, "comparisons", len(compared), progress):
        copies = lcm(len(one), len(other))
        stats_a, function = _statistics(metric, one, keys, copies)
        stats_b, _ = _statistics(metric, other, keys, copies)
        users = _users(one[0], keys)
        delta, low, high, p, n = paired_statistic(stats_a, stats_b, function, users, n_boot, seed)
        place = {"a": a, "b": b, "category": category, "metric": metric}
        comparisons.append(place | {"delta": delta, "ci_low": low, "ci_high": high, "p": p, "n": n})
    return {"rows": rows, "comparisons": comparisons}


def _tables(per_arm: Mapping[tuple[str, int], Sequence[ScoreRow]]) -> dict[str, dict[int, Table]]:
    """Index score rows by arm, seed and key, and check that an arm's seeds have the same examples."""
    arms: dict[str, dict[int, Table]] = {}
    for (arm, seed), rows in per_arm.items():
        table = {str(row["key"]): row for row in rows}
        if len(table) < len(rows):
            raise DepError(f"{arm}, seed {seed}: {len(rows)} score rows but {len(table)} keys; a key occurs twice")
        if not table:
            raise DepError(f"{arm}, seed {seed}: no score rows")
        for other, known in arms.setdefault(arm, {}).items():
            _same_examples(f"{arm}, seed {other}", known, f"{arm}, seed {seed}", table)
        arms[arm][seed] = table
    return arms


def _same_examples(name_a: str, a: Table, name_b: str, b: Table) -> None:
    for missing, name in ((a.keys() - b.keys(), name_b), (b.keys() - a.keys(), name_a)):
        if missing:
            some = ", ".join(sorted(missing)[:5]) + (", …" if len(missing) > 5 else "")
            raise DepError(f"{name_a} and {name_b} have different examples: {name} lacks {len(missing)} ({some})")


def _places(*arms: list[Table]) -> list[tuple[str, list[str], str]]:
    """Return (category, keys of its examples, metric) for each metric that all `arms` have; ALL comes last."""
    keys = sorted(arms[0][0])
    by_category: dict[str, list[str]] = {}
    for key in keys:
        by_category.setdefault(str(arms[0][0][key]["category"]), []).append(key)
    categories = [*sorted(by_category.items()), (ALL, keys)]
    tables = [table for seeds in arms for table in seeds]
    names = metrics_of(row for table in tables for row in table.values())
    metrics = [name for name in names if all(_has(name, table) for table in tables)]
    return [(category, inside, metric) for category, inside in categories for metric in metrics]


def _has(metric: str, table: Table) -> bool:
    """Return whether the rows have `metric`; a value of None counts as absent."""
    absent = [key for key, row in table.items() if row.get(metric) is None]
    if absent and len(absent) < len(table):
        raise DepError(f"{metric}: {len(absent)} of {len(table)} score rows lack it, the first is {absent[0]}")
    return not absent


def _users(table: Table, keys: list[str]) -> list[str]:
    return [str(table[key]["user"]) for key in keys]


def _statistics(metric: str, tables: list[Table], keys: list[str], copies: int) -> tuple[Array, Function]:
    """Return the sufficient statistics [N, S] of N examples over all seeds, and the function that reduces their sum.

    For a metric that is a mean over examples, each example's values are averaged over seeds. For any other metric the
    statistics of all seeds are concatenated and repeated until there are `copies` of them, so that arms with different
    numbers of seeds have equal shapes.
    """
    kind = metric_class(metric)
    seeds = np.stack([kind.sufficient([table[key][metric] for key in keys]) for table in tables])  # [seeds, N, S]
    if not kind.statistic_names:
        return seeds.mean(0), kind.reduce
    width = seeds.shape[2]
    seeds = np.tile(seeds, (copies // len(tables), 1, 1))

    def average(sums: Array) -> Array:
        return np.asarray(kind.reduce(sums.reshape(*sums.shape[:-1], copies, width)).mean(-1))

    return seeds.transpose(1, 0, 2).reshape(len(keys), copies * width), average
