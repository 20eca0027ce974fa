"""Says in one sentence whether personalisation has a chance, from the author probe."""

from __future__ import annotations

from typing import Literal, NamedTuple

from dep.evaluation.author_probe import ProbeRow
from dep.evaluation.significance import Comparison

Level = Literal["good", "fair", "weak", "none"]
_LEVELS: tuple[tuple[float, Level], ...] = ((0.3, "good"), (0.1, "fair"), (0.0, "weak"))
"""Smallest lower end of the interval, as a share of the way from chance to certainty -> level."""
_WORDS: dict[Level, str] = {
    "good": "Personalisation has a good chance",
    "fair": "Personalisation has a fair chance",
    "weak": "Personalisation has a weak chance",
    "none": "Personalisation has no visible chance",
}


class Verdict(NamedTuple):
    """A level and a sentence."""

    level: Level
    sentence: str


def verdict(rows: list[ProbeRow], gain: Comparison) -> Verdict:
    """Judge by the accuracy of `both`, that is, of a review's vector and its difference from peers together.

    Args:
        rows: the results for `his`, `diff` and `both`, in this order (`author_probe`).
        gain: the accuracy of `both` minus that of `his`.
    """
    both = rows[-1]
    lift = (both.low - both.chance) / (1 - both.chance)
    level: Level = next((name for least, name in _LEVELS if lift > least), "none")
    users = round(1 / both.chance)
    found = f"the style of one review finds its author among {users:,} users in {_percent(both.accuracy)} of cases"
    chance = f"chance {_percent(both.chance)}"
    if level == "none":
        return Verdict(level, f"{_WORDS[level]}: {found}, which may be luck ({chance}).")
    points = f"{100 * gain.delta:+.1f} points, 95% {100 * gain.low:+.1f} to {100 * gain.high:+.1f}"
    if gain.low > 0:
        adds = f"and the difference from other reviews of the same item helps ({points})"
    elif gain.high < 0:
        adds = f"but the difference from other reviews of the same item makes it worse ({points})"
    else:
        adds = f"and the difference from other reviews of the same item changes little ({points})"
    return Verdict(level, f"{_WORDS[level]}: {found} ({chance}), {adds}.")


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"
