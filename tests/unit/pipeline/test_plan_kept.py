"""`--plan` counts the beginnings that `backbone.keep_prefixes` keeps once, and texts only where some are written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from dep.config.loader import load_arms
from dep.models.backbones.cost import CARDS, Load, estimate
from dep.models.settings import BackboneConfig
from dep.pipeline.arm import Arm
from dep.pipeline.plan import computed, without_read
from dep.pipeline.resources import Resources
from dep.pipeline.workload import arm_load, example_counts

CONF = Path(__file__).resolve().parents[3] / "conf"
QWEN = BackboneConfig(name_or_path="Qwen/Qwen2.5-7B-Instruct")
KEPT = Load(100, 20, 40, 1000, 64, 1500, 1, 8, 96, False, kept=900.0, kept_name="a", read=70, read_test=40)


@pytest.fixture(scope="module")
def loads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Load]:
    folder = tmp_path_factory.mktemp("plan")
    run, arms = load_arms(
        [CONF / "demo.yaml"],
        [
            "source.users=20", "source.circles=2", "source.items_per_circle=12", "compare=[]",
            "arms=[rag,constant,dep,dep_notext,memory_constant_notext,dep_memory_notext]",
            "prompt.slots=late", "backbone.keep_prefixes=true",
            f"cache={folder}", f"runs={folder}",
        ],
    )  # fmt: skip
    resources = Resources(run, Console(quiet=True))
    counts, _ = example_counts(resources)
    return {name: arm_load(resources, Arm(name, config, 0, ""), counts) for name, config in arms.items()}


def test_arms_whose_prompts_begin_alike_share_a_name_and_others_do_not(loads: dict[str, Load]) -> None:
    assert loads["rag"].kept > 100, "the texts of past reviews stand before the first soft token"
    assert loads["rag"].kept_name == loads["constant"].kept_name == loads["dep"].kept_name
    assert loads["dep_notext"].kept_name != loads["dep"].kept_name


def test_the_second_arm_of_a_name_computes_no_beginning() -> None:
    first = KEPT
    assert without_read(first, set()) == first
    assert without_read(KEPT, computed(first, trains=True)) == replace(KEPT, read=0, read_test=0)
    assert without_read(KEPT, computed(first, trains=False)) == replace(KEPT, read_test=0), "RAG reads only tests"
    other = replace(KEPT, kept_name="b")
    assert without_read(other, computed(first, trains=True)) == other


def test_an_arm_that_computes_no_beginning_takes_less_time_and_as_much_memory() -> None:
    first = estimate(QWEN, KEPT, CARDS[0], trained=1000)
    second = estimate(QWEN, without_read(KEPT, computed(KEPT, trains=True)), CARDS[0], trained=1000)
    assert second.train_s < first.train_s
    assert second.generate_s < first.generate_s
    assert (second.train_gb, second.generate_gb) == (first.train_gb, first.generate_gb)


def test_a_run_without_texts_is_not_charged_for_writing_them() -> None:
    written = estimate(QWEN, KEPT, CARDS[0], trained=0)
    scored = estimate(QWEN, replace(KEPT, writes=False), CARDS[0], trained=0)
    assert 0 < scored.generate_s < 0.5 * written.generate_s


def test_states_before_the_output_are_computed_once_and_past_reviews_only_where_they_act(
    loads: dict[str, Load],
) -> None:
    control, ours = loads["memory_constant_notext"], loads["dep_memory_notext"]
    assert ours.kept == ours.prompt + ours.target, "the LLM reads nothing anew in a step"
    assert ours.kept_name == control.kept_name, "both arms read the same prompts"
    assert (control.past, control.past_test) == (0, 0)
    assert min(ours.past, ours.past_test, ours.past_tokens) > 0
    later = without_read(ours, computed(ours, trains=True))
    assert (later.past, later.past_test, later.read) == (0, 0, 0)
    once, again = (
        estimate(QWEN, load, CARDS[0], trained=1000) for load in (ours, replace(later, train=2 * later.train))
    )
    assert again.train_s < once.train_s, "two more epochs at the output cost less than the LLM's reading"
