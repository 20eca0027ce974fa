"""Descriptions of units: AUC and words against loops, and the best unit for a label on other users."""

from __future__ import annotations

import pytest
import torch

from dep.evaluation.latents import aucs, best_units, describe_units, separating_words
from dep.utils.errors import DepError


def test_the_auc_agrees_with_a_loop_over_pairs_in_which_ties_count_half() -> None:
    z = torch.randint(0, 4, (12, 3), generator=torch.Generator().manual_seed(0)).float()
    has = torch.rand(12, 2, generator=torch.Generator().manual_seed(1)) < 0.4
    found = aucs(z, has)
    for unit in range(3):
        for label in range(2):
            pairs = [(z[i, unit], z[j, unit]) for i in range(12) for j in range(12) if has[i, label] > has[j, label]]
            expected = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs)
            assert found[unit, label].item() == pytest.approx(expected)


def test_a_planted_unit_is_found_and_a_label_that_noise_fits_is_not() -> None:
    draw = torch.Generator().manual_seed(0)
    users = [f"u{at // 5:02d}" for at in range(200)]
    has = torch.tensor([[at // 5 % 3 == 0, (at // 5 * 7) % 5 < 2] for at in range(200)])
    z = torch.rand(200, 40, generator=draw)
    z[:, 7] -= 0.8 * has[:, 0].float()
    planted, noise = best_units(z, has, ["planted", "noise"], users)
    assert (planted.label, planted.unit, planted.sign) == ("planted", 7, -1)
    assert planted.auc > 0.9
    assert 0.35 < noise.auc < 0.65


def test_a_unit_has_its_share_its_top_reviews_and_the_words_that_only_they_have() -> None:
    texts = ["a loud drum", "a loud horn", "a soft harp", "a soft bell", "a soft lute", "a flute"]
    z = torch.tensor([[3.0, 1.0], [5.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.1], [0.0, 1.0]])
    (unit,) = describe_units(z, texts, count=1, top=4)
    assert (unit.unit, unit.rows, unit.largest) == (0, [1, 0], 5.0)
    assert unit.active == pytest.approx(2 / 6)
    assert unit.words[0] == "loud"
    assert "a" not in unit.words[:1]
    assert separating_words([{"x"}, {"x"}], [], 3) == []
    with pytest.raises(DepError, match="texts: expected 6, one for each latent, found 1"):
        describe_units(z, texts[:1])
