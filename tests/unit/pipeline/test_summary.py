"""Content of a run's report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dep.config.loader import load_arms
from dep.pipeline import request_cost
from dep.pipeline.arm import Arm
from dep.pipeline.summary import _draw_requests, arm_facts, check_names
from dep.utils.atomic_io import write_rows
from dep.utils.errors import DepError

CONF = Path(__file__).resolve().parents[3] / "conf"


def arms(*overrides: str) -> list[Arm]:
    run, configs = load_arms([CONF / "table1.yaml"], ["compare=[]", *overrides])
    return [Arm(name, config, 0, "") for name, config in configs.items() if run]


def test_an_arm_is_described_by_its_name_label_role_and_varied_settings() -> None:
    run, configs = load_arms([CONF / "figure2.yaml"], ["arms=[rag,shuffled]", "vary.prompt\\.history=[2]"])
    facts = arm_facts(run, [Arm(name, config, 0, "") for name, config in configs.items()])
    assert facts["rag@history=2"] == {
        "label": "RAG, history=2", "role": "other", "varied": {"prompt.history": 2}, "base": "rag", "base_label": "RAG",
    }  # fmt: skip
    assert facts["shuffled@history=2"]["role"] == "control"


def test_two_arms_with_the_same_name_and_seed_are_refused() -> None:
    (one,) = arms("arms=[rag]")
    check_names([one, replace(one, seed=1)])
    with pytest.raises(DepError, match="2 arms called 'rag' with seed 0"):
        check_names([one, replace(one)])


def test_two_arms_with_the_same_label_keep_separate_costs(tmp_path: Path) -> None:
    pair = arms("arms=[rag,non_perso]", "label=Same", f"runs={tmp_path}")
    for tokens, arm in enumerate(pair):
        write_rows(arm.folder / "predictions.jsonl", [{"prompt_tokens": tokens}])
    assert {name: row["prompt_tokens"] for name, row in request_cost.costs(pair).items()} == {"rag": 0, "non_perso": 1}


def test_the_shown_requests_are_of_different_users_where_possible() -> None:
    owners = [("Books", "ann"), ("Music", "ann"), ("Music", "bob"), ("Films", "ann")]
    assert _draw_requests(owners, 3) == [0, 2, 3]
    assert _draw_requests(owners, 3) == _draw_requests(owners, 3)
    assert _draw_requests([], 3) == []


def test_as_many_requests_are_shown_as_asked_for_from_each_category_in_turn() -> None:
    owners = [(category, f"{category}{user}") for category in "ab" for user in range(4)]
    assert [owners[at][0] for at in _draw_requests(owners, 5)] == ["a", "b", "a", "b", "a"]
    assert len({owners[at] for at in _draw_requests(owners, 6)}) == 6
