"""Claims of the paper's tables and figures, each tested on our results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from dep.evaluation.metrics import metric_class
from dep.reporting.tables import arm_labels, number, signed, title
from dep.reporting.verdicts import Verdict, verdicts
from experiments.paper.varied import by_value

HOLDS, OPPOSITE, OPEN = "holds", "opposite", "not shown"


@dataclass(frozen=True)
class Claim:
    """A claim with its outcome."""

    text: str
    metric: str
    outcome: str
    """`holds`, `opposite`, or `not shown`, which does not mean that the claim is false."""
    evidence: str
    """The numbers behind the outcome, in words."""


@dataclass(frozen=True)
class Spread:
    """Uncertainty of a difference over users (by the bootstrap) and over seeds."""

    pair: str
    """The labels of the two arms, `a − b`."""
    verdict: Verdict
    users: float
    """Standard error over users of the mean over seeds."""
    seeds: float
    """Standard deviation over seeds; NaN for a single seed."""
    count: int
    """Number of seeds."""


def ordered(results: Mapping[str, Any], metrics: Sequence[str] = ("nll", "meteor")) -> list[Claim]:
    """Return every comparison `a - b` of a run as the claim that `a` is better; the verdict uses Holm's correction."""
    claims, labels = [], arm_labels(results)
    for (a, b), pair_verdicts in verdicts(results, "all").items():
        for v in pair_verdicts:
            if v.metric not in metrics:
                continue
            outcome = {"better": HOLDS, "worse": OPPOSITE}.get(v.tone, OPEN)
            evidence = (
                f"{signed(v.metric, v.delta)} ({signed(v.metric, v.low)} to {signed(v.metric, v.high)}), "
                f"p {v.p:.4f}, Holm {v.holm:.4f}, n {v.n}"
            )
            claims.append(Claim(f"{labels.get(a, a)} better than {labels.get(b, b)}", v.metric, outcome, evidence))
    return claims


def rising(results: Mapping[str, Any], metrics: Sequence[str] = ("nll", "meteor")) -> list[Claim]:
    """Return the claims of Figure 2 that more past reviews (K) are better.

    The test is Kendall's τ between K and the value; a claim holds, or the opposite does, if |τ| is at least 0.5.
    """
    claims, position = [], by_value(results)
    for metric in metrics:
        lines: dict[str, list[tuple[int, float]]] = {}
        for row in results["rows"]:
            if (row["category"], row["metric"]) == ("all", metric) and row["arm"] in position:
                line, k = position[row["arm"]]
                lines.setdefault(line, []).append((k, row["value"]))
        for line, points in sorted(lines.items()):
            tau = float(kendalltau(*zip(*sorted(points), strict=True)).statistic)
            better = tau if metric_class(metric).higher_is_better else -tau
            outcome = HOLDS if better >= 0.5 else OPPOSITE if better <= -0.5 else OPEN
            first, last = min(points), max(points)
            evidence = (
                f"τ {tau:+.2f}; K = {first[0]}: {number(metric, first[1])}, K = {last[0]}: {number(metric, last[1])}"
            )
            claims.append(Claim(f"{line} better with more past reviews", metric, outcome, evidence))
    return claims


def unique_gain_more(
    gains: Mapping[str, Mapping[str, float]], rank: Mapping[str, float], metric: str, n_boot: int = 2000
) -> list[Claim]:
    """Return the claims of Figure 3 that the unique half of users gains more; the two halves are resampled separately.

    Args:
        gains: method -> user -> gain.
        rank: rank of each user's uniqueness in [0, 1].
        metric: metric of the gain.
        n_boot: number of resamples.
    """
    claims = []
    for method, by_user in gains.items():
        sides = [np.array([g for user, g in by_user.items() if (rank[user] >= 0.5) == side]) for side in (True, False)]
        rng = np.random.default_rng(0)
        drawn = [side[rng.integers(0, len(side), (n_boot, len(side)))].mean(1) for side in sides]
        low, high = np.percentile(drawn[0] - drawn[1], [2.5, 97.5])
        outcome = HOLDS if low > 0 else OPPOSITE if high < 0 else OPEN
        delta = float(sides[0].mean() - sides[1].mean())
        evidence = (
            f"{signed(metric, delta)} ({signed(metric, float(low))} to {signed(metric, float(high))}), "
            f"n {len(sides[0])} and {len(sides[1])}"
        )
        claims.append(Claim(f"{method} gains more for unique users", metric, outcome, evidence))
    return claims


def spreads(results: Mapping[str, Any], metric: str = "nll") -> list[Spread]:
    """Return the spread over users and over seeds of each comparison of all categories pooled."""
    by_seed: dict[str, dict[int, float]] = {}
    for row in results["rows"]:
        if (row["category"], row["metric"]) == ("all", metric) and row["seed"] is not None:
            by_seed.setdefault(row["arm"], {})[row["seed"]] = row["value"]
    result, labels = [], arm_labels(results)
    for (a, b), pair_verdicts in verdicts(results, "all").items():
        for v in pair_verdicts:
            if v.metric == metric:
                shared = sorted(by_seed.get(a, {}).keys() & by_seed.get(b, {}).keys())
                deltas = [by_seed[a][seed] - by_seed[b][seed] for seed in shared]
                sd = float(np.std(deltas, ddof=1)) if len(deltas) > 1 else float("nan")
                pair = f"{labels.get(a, a)} − {labels.get(b, b)}"
                result.append(Spread(pair, v, (v.high - v.low) / 3.92, sd, len(deltas)))
    return result


def summary(claims: Sequence[Claim]) -> str:
    """Count the outcomes in words, with the names of the metrics."""
    counts = {outcome: sum(c.outcome == outcome for c in claims) for outcome in (HOLDS, OPPOSITE, OPEN)}
    metrics = " and ".join(title(metric) for metric in dict.fromkeys(c.metric for c in claims))
    return (
        f"{counts[HOLDS]} of {len(claims)} claims hold, for {counts[OPPOSITE]} the opposite holds, and "
        f"{counts[OPEN]} are not shown ({metrics})"
    )
