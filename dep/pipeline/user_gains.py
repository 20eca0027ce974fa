"""Computes users' uniqueness and what they gain from each arm of a finished run (Section 4.4.2, Figure 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dep.evaluation.metrics import metric_class
from dep.evaluation.significance import Interval
from dep.evaluation.uniqueness import Curve, Group, contrast, curve, distances, halves, ranks
from dep.pipeline.run_data import RunData
from dep.utils.atomic_io import read_rows
from dep.utils.errors import MissingFile


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


@dataclass(frozen=True)
class Gains:
    """What the users of a run gain from some arms over a baseline; positive is always better."""

    metric: str
    users: list[UserGain]

    def table(self) -> list[dict[str, Any]]:
        """Return a dictionary for each user: `category`, `user`, `rank`, and the gain of each arm by its name."""
        return [{"category": u.category, "user": u.user, "rank": u.rank, **u.gains} for u in self.users]

    def halves(self, arm: str) -> list[Group]:
        """Return an arm's mean gain for the users who are like the mean user, and for those who are unlike it."""
        return halves(self._of(arm), self._ranks)

    def difference(self, arm: str) -> Interval:
        """Return by how much more the unique half of the users gains than the other half, with its 95% interval."""
        return contrast(self._of(arm), self._ranks)

    def curve(self, arm: str) -> Curve:
        """Return an arm's gain as a function of the rank: a list of (rank, mean, low, high)."""
        return curve(self._of(arm), self._ranks)

    @property
    def _ranks(self) -> dict[str, float]:
        return {f"{u.category}/{u.user}": u.rank for u in self.users}

    def _of(self, arm: str) -> dict[str, float]:
        return {f"{u.category}/{u.user}": u.gains[arm] for u in self.users}


def user_gains(run: Path, arms: Sequence[str], baseline: str = "non_perso", metric: str = "nll") -> list[UserGain]:
    """Return the gains of all users, averaged over a user's test examples and the seeds; positive is always better.

    Args:
        run: folder of a finished run, `runs/<name>`.
        arms: names of its arms.
        baseline: name of the arm that gains are measured against.
        metric: a column of scores.jsonl that is a mean over examples (not bleu).

    Raises:
        MissingFile: an arm has no scores.
    """
    data = RunData(run)
    sign = 1.0 if metric_class(metric).higher_is_better else -1.0
    mean = {arm: _by_user(run / arm, metric) for arm in (baseline, *arms)}
    result = []
    for category, corpus in data.dataset.corpora.items():
        vectors = data.vectors(category)
        examples = [e for e in data.dataset.examples if e.split == "test" and e.category == category and e.profile]
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
        way_out = "finish the run with `dep run`, and name one of its arms"
        raise MissingFile(str(arm), "the scores of an arm", "none", way_out)
    for path in paths:
        for row in read_rows(path):
            values.setdefault((row["category"], row["user"]), []).append(float(row[metric]))
    return {key: sum(v) / len(v) for key, v in values.items()}
