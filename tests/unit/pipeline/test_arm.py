"""Which arms share an adapter, and what an arm's training goes on from."""

from __future__ import annotations

from pathlib import Path

import pytest

from dep.config.loader import load_arms
from dep.pipeline import scheduler as jobs
from dep.pipeline.arm import Arm
from dep.pipeline.keys import adapter_key, encoder_key, prediction_key

CONF = Path(__file__).resolve().parents[3] / "conf"


def arms(file: str, *overrides: str) -> dict[str, Arm]:
    _, configs = load_arms([CONF / file], ["compare=[]", *overrides])
    return {name: Arm(name, config, 0, "reviews") for name, config in configs.items()}


def test_an_arm_goes_on_from_the_same_arm_without_texts() -> None:
    found = arms("ablation.yaml", "train.input_noise=0.5")
    for name in ("dep", "his", "diff", "constant", "other_peers"):
        first = found[name].warm_start
        assert first is not None
        assert adapter_key(first) == adapter_key(found[f"{name}_notext"]) != adapter_key(found[name])
        assert (first.settings.epochs, found[name].settings.epochs) == (1, 1)
    assert found["dep_notext"].warm_start is None
    assert found["rag"].warm_start is None


def test_without_epochs_without_texts_an_arm_goes_on_from_nothing() -> None:
    arm = arms("ablation.yaml", "train.textless_epochs=0", "train.epochs=3")["dep"]
    assert arm.warm_start is None
    assert arm.settings.epochs == 3


def test_some_epoch_has_to_be_left_for_the_texts() -> None:
    with pytest.raises(ValueError, match=r"fewer than train.epochs = 2.*found 2"):
        _ = arms("ablation.yaml", "train.textless_epochs=2")["dep"].warm_start


def test_an_adapter_taught_on_few_past_reviews_serves_prompts_of_many() -> None:
    found = arms("cost.yaml")
    for method in ("dep", "dep_notext"):
        few, many = found[f"{method}@history=2"], found[f"{method}@history=64"]
        assert adapter_key(few) == adapter_key(many)
        assert prediction_key(few) != prediction_key(many)
        assert many.training_view.configured[0].history == 2
    assert adapter_key(found["user_llm@history=2"]) != adapter_key(found["user_llm@history=64"])


def test_a_constant_prompt_has_a_vector_for_each_place_and_is_taught_on_all() -> None:
    few, many = (arms("cost.yaml", "arms=[constant]")[f"constant@history={k}"] for k in (2, 64))
    assert adapter_key(few) != adapter_key(many)


def test_how_many_past_reviews_an_encoder_reads_is_nothing_to_a_method_without_one() -> None:
    one, other = (arms("ablation.yaml", f"prompt.max_user_history={n}")["dep"] for n in (3, 50))
    assert prediction_key(one) == prediction_key(other)


def test_arms_that_train_the_same_thing_go_to_one_process() -> None:
    found = list(arms("table1.yaml").values())
    assert [arm.name for arm in found if arm.method.pretrains] == ["user_llm", "user_llm_cross"]
    together = [{arm.name for arm in group} for group in jobs._groups(found)]
    assert {"user_llm", "user_llm_cross"} in together
    assert {"dep", "shuffled"} in together
    assert {"rag"} in together
    assert sum(map(len, together)) == len(found)


def test_how_many_are_tested_changes_no_adapter_and_no_encoder() -> None:
    few, many = (arms("table1.yaml", f"protocol.test_examples={n}")["user_llm"] for n in (5, 50))
    assert (adapter_key(few), encoder_key(few)) == (adapter_key(many), encoder_key(many))
    assert prediction_key(few) != prediction_key(many)
    other = arms("table1.yaml", "protocol.val_examples=5")["user_llm"]
    assert adapter_key(other) != adapter_key(few)
