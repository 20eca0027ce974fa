"""Computes users' uniqueness and what they gain from each method in a finished run, for Figure 3 and the notebook."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from dep.config.loader import load
from dep.evaluation.metrics import metric_class
from dep.evaluation.uniqueness import distances, ranks
from dep.pipeline.resources import Resources
from dep.utils.atomic_io import read_rows


class UserGain(NamedTuple):
    """A user of one category."""

    category: str
    user: str
    rank: float
    """Rank of the user's uniqueness within the category, in [0, 1]."""
    gains: dict[str, float]
    """Gain of each arm over the baseline."""
    past: int
    """Number of the user's past reviews."""
    peers: float
    """Mean number of peers of these reviews."""


def user_gains(run: Path, arms: Sequence[str], baseline: str = "non_perso", metric: str = "nll") -> list[UserGain]:
    """Return the gains of all users, averaged over a user's test examples and the seeds; positive is always better.

    Args:
        run: folder of a finished run, `runs/<name>`.
        arms: names of its arms.
        baseline: name of the arm that gains are measured against.
        metric: a column of scores.jsonl that is a mean over examples (not bleu).

    Raises:
        FileNotFoundError: an arm has no scores.
    """
    config = load([run / "config.yaml"])
    resources = Resources(config, Console(quiet=True))
    dataset, cache = resources.prepared(config), resources.cache(config)
    sign = 1.0 if metric_class(metric).higher_is_better else -1.0
    mean = {arm: _by_user(run / arm, metric) for arm in (baseline, *arms)}
    result = []
    for category, corpus in dataset.corpora.items():
        vectors = cache.vectors(corpus, dataset.pool[category])
        examples = [e for e in dataset.examples if e.split == "test" and e.category == category and e.profile]
        profiles = {corpus.reviews[e.row].user: e.profile for e in examples}
        for user, rank in ranks(distances(vectors.his_NE, profiles)).items():
            key = (category, user)
            gains = {arm: sign * (mean[arm][key] - mean[baseline][key]) for arm in arms}
            peers = float(vectors.peers_N[list(profiles[user])].double().mean())
            result.append(UserGain(category, user, rank, gains, len(profiles[user]), peers))
    return result


def _by_user(arm: Path, metric: str) -> dict[tuple[str, str], float]:
    values: dict[tuple[str, str], list[float]] = {}
    paths = sorted(arm.glob("seed*/scores.jsonl"))
    if not paths:
        raise FileNotFoundError(f"{arm}: no scores; finish the run first (`dep run` with the same configuration)")
    for path in paths:
        for row in read_rows(path):
            values.setdefault((row["category"], row["user"]), []).append(float(row[metric]))
    return {key: sum(v) / len(v) for key, v in values.items()}
