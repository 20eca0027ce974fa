"""Which arms share an adapter, and what an arm's training goes on from."""

from __future__ import annotations

from pathlib import Path

import pytest

from dep.config.loader import load_arms
from dep.config.schema import ConfigError
from dep.pipeline import scheduler as jobs
from dep.pipeline.arm import Arm
from dep.pipeline.keys import adapter_key, encoder_key, prediction_key

CONF = Path(__file__).resolve().parents[3] / "conf"


def arms(file: str, *overrides: str) -> dict[str, Arm]:
    _, configs = load_arms([CONF / file], ["compare=[]", *overrides])
    return {name: Arm(name, config, 0, "reviews") for name, config in configs.items()}


def test_an_arm_goes_on_from_the_arm_that_its_file_names() -> None:
    found = arms("ablation.yaml", "train.input_noise=0.5")
    for name in ("dep", "his", "diff", "constant", "other_peers"):
        first = found[name].warm_start
        assert first is not None
        assert adapter_key(first) == adapter_key(found[f"{name}_notext"]) != adapter_key(found[name])
        assert (first.settings.epochs, found[name].settings.epochs) == (1, 1)
    assert found["dep_notext"].warm_start is None
    assert found["rag"].warm_start is None


def test_without_warm_start_epochs_an_arm_starts_untrained() -> None:
    arm = arms("ablation.yaml", "train.warm_start_epochs=0", "train.epochs=3")["dep"]
    assert arm.warm_start is None
    assert arm.settings.epochs == 3


def test_an_arm_needs_epochs_beyond_those_of_its_warm_start() -> None:
    with pytest.raises(ConfigError, match=r"fewer than train.epochs = 2.*found 2; set train.warm_start_epochs=0"):
        arms("ablation.yaml", "train.warm_start_epochs=2")


def _own_arms(folder: Path, **files: str) -> dict[str, Arm]:
    """Arms of a run whose arm files hold `files` by name."""
    (folder / "arm").mkdir()
    for name, text in files.items():
        (folder / "arm" / f"{name}.yaml").write_text("method: {kind: dep}\n" + text)
    lines = [f"base: {CONF / 'synthetic.yaml'}", "train: {epochs: 3}", f"arms: [{', '.join(files)}]"]
    (folder / "run.yaml").write_text("\n".join(lines))
    return arms(str(folder / "run.yaml"))


def test_a_chain_of_warm_starts_goes_to_one_process(tmp_path: Path) -> None:
    built = _own_arms(
        tmp_path, one="train: {epochs: 1}", two="warm_start: one\ntrain: {epochs: 2}",
        three="warm_start: two\ntrain: {warm_start_epochs: 2}", four="train: {lr: 0.5}",
    )  # fmt: skip
    assert [len(group) for group in jobs._groups(list(built.values()))] == [3, 1]
    assert [built[name].settings.epochs for name in ("one", "two", "three")] == [1, 1, 1]
    assert built["three"].warm_start is not None
    assert adapter_key(built["three"].warm_start) == adapter_key(built["two"])


def test_a_circle_of_warm_starts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one -> two -> one"):
        _own_arms(tmp_path, one="warm_start: two", two="warm_start: one")


def test_a_warm_start_without_a_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"arm one: warm_start.*nobody"):
        _own_arms(tmp_path, one="warm_start: nobody")


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
