"""From texts to score rows, and from the score rows of every arm to the tables of `results.json`.

A *score row* is one example of one arm and seed: `{key, category, user, <metric>: number, …}`, where `bleu`
holds the example's n-gram counts instead of a number. A method's seeds are averaged example by example before
methods are compared; BLEU, which is no mean over examples, is computed for each seed and then averaged.

The intervals say how far other *users* would move a number. They hold no spread over seeds, which the rows of
the single seeds show. Units: rouge1, rougeL, meteor and bertscore lie in [0, 1], bleu in [0, 100]; nll
is in nats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import lcm
from typing import Any

import numpy as np

from dep.evaluation.metrics.base import METRIC_NAMES, Metric, track
from dep.evaluation.metrics.bleu import STATISTICS, bleu_of_sums
from dep.evaluation.significance import (
    Array,
    Function,
    mean_of_sums,
    paired_statistic,
    statistic_interval,
    with_ones,
)

ALL = "all"
"""The category of everything pooled."""

ScoreRow = Mapping[str, Any]
Table = dict[str, ScoreRow]
"""The score rows of one arm and seed by key."""


def score_examples(
    predictions: Sequence[str],
    references: Sequence[str],
    metrics: Mapping[str, Metric],
    *,
    progress: bool = False,
) -> dict[str, list[Any]]:
    """What a score file keeps of each pair, by metric.

    Args:
        predictions: generated texts.
        references: what the users wrote, one each.
        metrics: from build_metrics.
        progress: one bar a metric.

    Returns:
        One list of len(predictions) a metric: numbers, or for `bleu` its ten counts each.
    """
    scored = {name: metric.statistics(predictions, references, progress=progress) for name, metric in metrics.items()}
    return {name: list(column) for name, column in scored.items()}


def summarise(
    per_arm: Mapping[tuple[str, int], Sequence[ScoreRow]],
    pairs: Iterable[tuple[str, str]],
    run: str,
    *,
    n_boot: int = 2000,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, list[dict[str, Any]]]:
    """Every number of a run with its interval, and every comparison asked for.

    Args:
        per_arm: score rows by (method, seed).
        pairs: methods (a, b) to compare; delta is a − b in the metric's own unit, also where lower is better.
        run: the run's name.
        n_boot: resamples of each interval and each test.
        seed: of the resamples.
        progress: show a progress bar.

    Returns:
        `rows`: {run, method, category, metric, value, ci_low, ci_high, n, seed} for each arm, seed, category
        (and `all`) and metric; a method with several seeds has their average as well, under seed None.
        `comparisons`: {a, b, category, metric, delta, ci_low, ci_high, p, n}; p is not adjusted (see holm).

    Raises:
        ValueError: seeds of one method, or two compared methods, hold different examples; a key comes twice;
            only some rows have a metric; a method in `pairs` has no scores.
    """
    methods = _tables(per_arm)
    wanted = []
    for a, b in pairs:
        if unknown := sorted({a, b} - methods.keys()):
            raise ValueError(f"cannot compare {a} with {b}: no scores of {unknown}; there are {sorted(methods)}")
        one, other = list(methods[a].values()), list(methods[b].values())
        _same_examples(a, one[0], b, other[0])
        wanted += [(a, one, b, other, *where) for where in _places(one, other)]

    groups: list[tuple[str, int | None, list[Table]]] = []
    for method, seeds in methods.items():
        groups += [(method, number, [table]) for number, table in seeds.items()]
        if len(seeds) > 1:
            groups.append((method, None, list(seeds.values())))
    cells = [(*group, *where) for group in groups for where in _places(group[2])]

    rows, comparisons = [], []
    for method, number, tables, category, keys, metric in track(cells, "intervals", len(cells), progress):
        stats, function = _statistics(metric, tables, keys, len(tables))
        value, low, high, n = statistic_interval(stats, function, _users(tables[0], keys), n_boot, seed)
        label = {"run": run, "method": method, "category": category, "metric": metric}
        rows.append(label | {"value": value, "ci_low": low, "ci_high": high, "n": n, "seed": number})
    for a, one, b, other, category, keys, metric in track(wanted, "comparisons", len(wanted), progress):
        copies = lcm(len(one), len(other))
        stats_a, function = _statistics(metric, one, keys, copies)
        stats_b, _ = _statistics(metric, other, keys, copies)
        users = _users(one[0], keys)
        delta, low, high, p, n = paired_statistic(stats_a, stats_b, function, users, n_boot, seed)
        label = {"a": a, "b": b, "category": category, "metric": metric}
        comparisons.append(label | {"delta": delta, "ci_low": low, "ci_high": high, "p": p, "n": n})
    return {"rows": rows, "comparisons": comparisons}


def _tables(per_arm: Mapping[tuple[str, int], Sequence[ScoreRow]]) -> dict[str, dict[int, Table]]:
    """Score rows by method, seed and key, in the order given; a method's seeds hold the same examples."""
    methods: dict[str, dict[int, Table]] = {}
    for (method, seed), rows in per_arm.items():
        table = {str(row["key"]): row for row in rows}
        if len(table) < len(rows):
            raise ValueError(f"{method}, seed {seed}: {len(rows)} score rows but {len(table)} keys; a key comes twice")
        if not table:
            raise ValueError(f"{method}, seed {seed}: no score rows")
        for other, known in methods.setdefault(method, {}).items():
            _same_examples(f"{method}, seed {other}", known, f"{method}, seed {seed}", table)
        methods[method][seed] = table
    return methods


def _same_examples(name_a: str, a: Table, name_b: str, b: Table) -> None:
    for lacking, name in ((a.keys() - b.keys(), name_b), (b.keys() - a.keys(), name_a)):
        if lacking:
            some = ", ".join(sorted(lacking)[:5]) + (", …" if len(lacking) > 5 else "")
            raise ValueError(f"{name_a} and {name_b} hold different examples: {name} lacks {len(lacking)} ({some})")


def _places(*arms: list[Table]) -> list[tuple[str, list[str], str]]:
    """(category, its keys, metric) for each number that all of `arms` have; categories by their name."""
    keys = sorted(arms[0][0])
    by_category: dict[str, list[str]] = {}
    for key in keys:
        by_category.setdefault(str(arms[0][0][key]["category"]), []).append(key)
    categories = [*sorted(by_category.items()), (ALL, keys)]
    metrics = [m for m in METRIC_NAMES if all(_has(m, table) for tables in arms for table in tables)]
    return [(category, inside, metric) for category, inside in categories for metric in metrics]


def _has(metric: str, table: Table) -> bool:
    """Does every row have `metric`? None counts as absent."""
    absent = [key for key, row in table.items() if row.get(metric) is None]
    if absent and len(absent) < len(table):
        raise ValueError(f"{metric}: {len(absent)} of {len(table)} score rows lack it, the first is {absent[0]}")
    return not absent


def _users(table: Table, keys: list[str]) -> list[str]:
    return [str(table[key]["user"]) for key in keys]


def _statistics(metric: str, tables: list[Table], keys: list[str], copies: int) -> tuple[Array, Function]:
    """Sufficient statistics [N, S] of `keys` averaged over seeds, and the function of their sum.

    A mean is averaged example by example. BLEU keeps the counts of every seed side by side, repeated to
    `copies` seeds, so that methods with different numbers of seeds have rows of one shape.
    """
    columns = np.asarray([[table[key][metric] for key in keys] for table in tables], dtype=np.float64)
    if metric != "bleu":
        return with_ones(columns.mean(0)), mean_of_sums
    width = len(STATISTICS)
    if columns.ndim != 3 or columns.shape[2] != width:
        raise ValueError(f"bleu: expected the {width} counts {STATISTICS} in each score row, got {columns.shape[2:]}")
    columns = np.tile(columns, (copies // len(tables), 1, 1))

    def average(sums: Array) -> Array:
        return np.asarray(bleu_of_sums(sums.reshape(*sums.shape[:-1], copies, width)).mean(-1))

    return columns.transpose(1, 0, 2).reshape(len(keys), copies * width), average
