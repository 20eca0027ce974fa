"""The sentence follows the numbers."""

from __future__ import annotations

import pytest

from dep.evaluation.author_probe import ProbeRow
from dep.evaluation.author_verdict import verdict
from dep.evaluation.significance import Comparison


def rows(accuracy: float, low: float, chance: float = 0.01) -> list[ProbeRow]:
    return [
        ProbeRow(name, accuracy, accuracy, 500, chance, low, 2 * accuracy - low) for name in ("his", "diff", "both")
    ]


def gain(low: float, high: float) -> Comparison:
    return Comparison((low + high) / 2, low, high, 0.5, 500)


@pytest.mark.parametrize(
    ("accuracy", "low", "chance", "level"),
    [(0.6, 0.55, 0.01, "good"), (0.2, 0.15, 0.01, "fair"), (0.06, 0.04, 0.01, "weak"), (0.03, 0.005, 0.01, "none"),
     (0.6, 0.45, 0.5, "none"), (0.9, 0.8, 0.5, "good")],
)  # fmt: skip
def test_the_level_follows_the_lower_end_of_the_interval_above_chance(
    accuracy: float, low: float, chance: float, level: str
) -> None:
    found = verdict(rows(accuracy, low, chance), gain(-0.01, 0.01))
    assert found.level == level
    assert ("which may be luck" in found.sentence) == (level == "none")
    assert found.sentence.count(". ") == 0, "one sentence"


def test_the_sentence_says_what_the_difference_does() -> None:
    helps, harms, little = (
        verdict(rows(0.6, 0.55), gain(*ends)).sentence for ends in ((0.01, 0.03), (-0.03, -0.01), (-0.01, 0.02))
    )
    assert "helps (+2.0 points, 95% +1.0 to +3.0)" in helps
    assert "makes it worse (-2.0 points" in harms
    assert "changes little (+0.5 points" in little
    assert "among 100 users in 60% of cases (chance 1.0%)" in helps
