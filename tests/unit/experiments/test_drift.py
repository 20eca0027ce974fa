"""Tests of the drift experiment: history vectors against hand-computed ones, the probe, and a whole run."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from dep.config.loader import load
from dep.data.vectors.store import Vectors, VectorStore
from dep.types import Example
from experiments.drift.__main__ import CONF, compare
from experiments.drift.history_vectors import FLAT, weighted
from experiments.drift.measure import HALF_LIVES
from experiments.drift.probe import above, fit_and_score
from experiments.drift.world import worlds


def test_a_weighted_mean_halves_the_weight_each_half_life_and_omits_missing_differences() -> None:
    his = torch.tensor([[8.0], [4.0], [2.0], [99.0]])
    diff = torch.tensor([[1.0], [0.0], [3.0], [99.0]])
    vectors = {"Books": Vectors(his, diff, torch.tensor([1, 0, 2, 5]))}
    example = Example("Books", "test", 3, (0, 1, 2))
    (one,) = weighted(vectors, [example], 1.0)
    assert one.tolist() == pytest.approx([(2 * 1 + 4 * 0.5 + 8 * 0.25) / 1.75, (3 * 1 + 1 * 0.25) / 1.25])
    (flat,) = weighted(vectors, [example], FLAT)
    assert flat.tolist() == pytest.approx([14 / 3, 2.0])


def test_the_probe_selects_the_informative_candidate_without_the_labels_of_test_users() -> None:
    g = torch.Generator().manual_seed(0)
    user = torch.arange(200) % 50
    label = torch.nn.functional.one_hot(torch.randint(4, (200,), generator=g), 4).double()
    informative = torch.cat([label + 0.3 * torch.randn(200, 4, generator=g).double()] * 2, 1)
    noise = torch.randn(200, 8, generator=g).double()
    candidates = {"noise": noise, "informative": informative}
    scores, chosen = fit_and_score(candidates, {"tone": label}, user)
    assert [name for name, _ in chosen["tone"]] == ["informative"] * 5
    assert (scores["tone"].argmax(1) == label.argmax(1)).double().mean() > 0.9
    test_users = user % 5 == 2
    changed = label.clone()
    changed[test_users] = changed[test_users].roll(1, 1)
    again, _ = fit_and_score(candidates, {"tone": changed}, user)
    assert torch.equal(again["tone"][test_users], scores["tone"][test_users])


def test_current_above_former_counts_pairs_of_gained_and_lost_values() -> None:
    current = torch.tensor([[1.0, 1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0, 0.0]])
    former = torch.tensor([[0.0, 0.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0, 0.0]])
    score = torch.tensor([[0.9, 0.2, 0.5, 0.1, 0.0], [0.0] * 5])
    result = above(score, current, former)
    assert result[0] == 3 / 4
    assert result[1].isnan()


def test_both_worlds_are_compared_and_the_measurements_are_written(tmp_path: Path, hashing: Any) -> None:
    overrides = [
        "source.users=20", "source.circles=2", "source.items_per_circle=12", f"source.folder={tmp_path}/worlds",
        f"runs={tmp_path}/runs", "soft_prompt.user_llm.pretrain_epochs=1",
    ]  # fmt: skip
    config, out = load([CONF], overrides), Console(file=io.StringIO(), width=200)
    compare(config, VectorStore(tmp_path / "cache", hashing(dim=64)), out)
    written = json.loads((tmp_path / "runs/drift/drift.json").read_text())
    for name in ("without drift", "with drift"):
        assert len(written["rows"][name]) == 3 * 5
        facts = written["facts"][name]
        assert facts["users"] <= 60
        assert facts["histories"] > 5 * facts["users"]
        for row in written["rows"][name]:
            assert row["auc"]["low"] <= row["auc"]["value"] <= row["auc"]["high"]
            assert row["auc"]["n"] == facts["histories"]
            assert ("current above former" in row) == (name == "with drift")
            assert len(row["chosen"]) == 5
            if row["vectors"] == "recency-weighted":
                assert {choice for choice, _ in row["chosen"]} <= {f"{h:g}" for h in HALF_LIVES}
    assert "less flat mean" in out.file.getvalue()  # type: ignore[attr-defined]


def test_a_world_without_drift_is_refused() -> None:
    with pytest.raises(ValueError, match=r"source\.drift"):
        worlds(load([CONF], ["source.drift=0.0"]))
