"""The drift experiment: vectors of a past by hand, a probe that chooses without its test users, and the whole of it."""

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
from experiments.drift.measure import HALF_LIVES
from experiments.drift.pasts import FLAT, weighted
from experiments.drift.probe import above, ask
from experiments.drift.world import worlds


def test_a_weighted_mean_halves_a_review_s_weight_every_half_life_and_leaves_absent_differences_out() -> None:
    his = torch.tensor([[8.0], [4.0], [2.0], [99.0]])
    diff = torch.tensor([[1.0], [0.0], [3.0], [99.0]])
    vectors = {"Books": Vectors(his, diff, torch.tensor([1, 0, 2, 5]))}
    example = Example("Books", "test", 3, (0, 1, 2))
    (one,) = weighted(vectors, [example], 1.0)
    assert one.tolist() == pytest.approx([(2 * 1 + 4 * 0.5 + 8 * 0.25) / 1.75, (3 * 1 + 1 * 0.25) / 1.25])
    (flat,) = weighted(vectors, [example], FLAT)
    assert flat.tolist() == pytest.approx([14 / 3, 2.0])


def test_the_probe_finds_the_candidate_that_tells_and_users_who_are_asked_have_no_part_in_it() -> None:
    g = torch.Generator().manual_seed(0)
    user = torch.arange(200) % 50
    label = torch.nn.functional.one_hot(torch.randint(4, (200,), generator=g), 4).double()
    telling = torch.cat([label + 0.3 * torch.randn(200, 4, generator=g).double()] * 2, 1)
    noise = torch.randn(200, 8, generator=g).double()
    scores, chosen = ask({"noise": noise, "telling": telling}, {"tone": label}, user)
    assert [name for name, _ in chosen["tone"]] == ["telling"] * 5
    assert (scores["tone"].argmax(1) == label.argmax(1)).double().mean() > 0.9
    other = label.clone()
    other[user % 5 == 2] = other[user % 5 == 2].roll(1, 1)
    again, _ = ask({"noise": noise, "telling": telling}, {"tone": other}, user)
    assert torch.equal(again["tone"][user % 5 == 2], scores["tone"][user % 5 == 2])


def test_now_above_then_counts_pairs_of_what_came_and_what_went() -> None:
    now = torch.tensor([[1.0, 1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0, 0.0]])
    then = torch.tensor([[0.0, 0.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0, 0.0]])
    score = torch.tensor([[0.9, 0.2, 0.5, 0.1, 0.0], [0.0] * 5])
    found = above(score, now, then)
    assert found[0] == 3 / 4
    assert found[1].isnan()


def test_both_worlds_are_compared_and_what_was_measured_is_written(tmp_path: Path, hashing: Any) -> None:
    overrides = [
        "source.users=20", "source.circles=2", "source.items_per_circle=12", f"source.folder={tmp_path}/worlds",
        f"runs={tmp_path}/runs", "soft_prompt.user_llm.pretrain_epochs=1",
    ]  # fmt: skip
    config, out = load([CONF], overrides), Console(file=io.StringIO(), width=200)
    compare(config, VectorStore(tmp_path / "cache", hashing(dim=64)), out)
    found = json.loads((tmp_path / "runs/drift/drift.json").read_text())
    for name in ("without drift", "with drift"):
        assert len(found["rows"][name]) == 3 * 5
        facts = found["facts"][name]
        assert facts["users"] <= 60
        assert facts["pasts"] > 5 * facts["users"]
        for row in found["rows"][name]:
            assert row["auc"]["low"] <= row["auc"]["value"] <= row["auc"]["high"]
            assert row["auc"]["n"] == facts["pasts"]
            assert ("now above then" in row) == (name == "with drift")
            assert len(row["chosen"]) == 5
            if row["vectors"] == "recency-weighted":
                assert {choice for choice, _ in row["chosen"]} <= {f"{h:g}" for h in HALF_LIVES}
    assert "less flat mean" in out.file.getvalue()  # type: ignore[attr-defined]


def test_a_world_without_drift_is_refused() -> None:
    with pytest.raises(ValueError, match=r"source\.drift"):
        worlds(load([CONF], ["source.drift=0.0"]))
