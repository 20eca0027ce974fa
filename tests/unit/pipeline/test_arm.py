"""Which arms share an adapter, and which adapter an arm's training starts from."""

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


def test_an_arm_starts_from_the_arm_that_its_file_names() -> None:
    built = arms("ablation.yaml", "train.input_noise=0.5")
    for name in ("dep", "his", "diff", "constant", "other_peers"):
        first = built[name].warm_start
        assert first is not None
        assert adapter_key(first) == adapter_key(built[f"{name}_notext"]) != adapter_key(built[name])
        assert (first.settings.epochs, built[name].settings.epochs) == (1, 1)
    assert built["dep_notext"].warm_start is None
    assert built["rag"].warm_start is None


def test_a_user_encoder_and_its_control_share_adapters_with_and_without_text() -> None:
    names = ("dep_user", "dep_user_notext", "dep_user_shuffled", "dep_user_shuffled_notext", "dep_user_m1_notext")
    built = arms("synthetic.yaml", f"arms=[{','.join(names)}]")
    keys = [adapter_key(built[name]) for name in names]
    assert keys[0] == keys[2] != keys[1] == keys[3] != keys[4]
    assert len({prediction_key(built[name]) for name in names}) == len(names)
    first = built["dep_user"].warm_start
    assert first is not None
    assert adapter_key(first) == keys[1]


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


def test_a_chain_of_warm_starts_runs_in_one_process(tmp_path: Path) -> None:
    built = _own_arms(
        tmp_path, one="train: {epochs: 1}", two="warm_start: one\ntrain: {epochs: 2}",
        three="warm_start: two\ntrain: {warm_start_epochs: 2}", four="train: {lr: 0.5}",
    )  # fmt: skip
    assert [len(group) for group in jobs._groups(list(built.values()))] == [3, 1]
    assert [built[name].settings.epochs for name in ("one", "two", "three")] == [1, 1, 1]
    assert built["three"].warm_start is not None
    assert adapter_key(built["three"].warm_start) == adapter_key(built["two"])


def test_a_cycle_of_warm_starts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one -> two -> one"):
        _own_arms(tmp_path, one="warm_start: two", two="warm_start: one")


def test_a_warm_start_without_a_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"arm one: warm_start.*nobody"):
        _own_arms(tmp_path, one="warm_start: nobody")


def test_an_adapter_trained_on_few_past_reviews_serves_prompts_with_many() -> None:
    built = arms("cost.yaml")
    for method in ("dep", "dep_notext"):
        few, many = built[f"{method}@history=2"], built[f"{method}@history=64"]
        assert adapter_key(few) == adapter_key(many)
        assert prediction_key(few) != prediction_key(many)
        assert many.training_view.configured[0].history == 2
    assert adapter_key(built["user_llm@history=2"]) != adapter_key(built["user_llm@history=64"])


def test_a_constant_prompt_is_trained_on_all_slots_that_it_serves() -> None:
    few, many = (arms("cost.yaml", "arms=[constant]")[f"constant@history={k}"] for k in (2, 64))
    assert adapter_key(few) != adapter_key(many)


def test_the_history_length_of_an_encoder_changes_no_key_of_a_method_without_one() -> None:
    one, other = (arms("ablation.yaml", f"prompt.max_user_history={n}")["dep"] for n in (3, 50))
    assert prediction_key(one) == prediction_key(other)


def test_arms_that_share_an_adapter_or_encoder_run_in_one_process() -> None:
    built = list(arms("table1.yaml").values())
    assert [arm.name for arm in built if arm.method.pretrains] == ["user_llm", "user_llm_cross"]
    groups = [{arm.name for arm in group} for group in jobs._groups(built)]
    assert {"user_llm", "user_llm_cross"} in groups
    assert {"dep", "shuffled"} in groups
    assert {"rag"} in groups
    assert sum(map(len, groups)) == len(built)


def test_the_number_of_test_examples_changes_no_adapter_key_and_no_encoder_key() -> None:
    few, many = (arms("table1.yaml", f"protocol.test_examples={n}")["user_llm"] for n in (5, 50))
    assert (adapter_key(few), encoder_key(few)) == (adapter_key(many), encoder_key(many))
    assert prediction_key(few) != prediction_key(many)
    other = arms("table1.yaml", "protocol.val_examples=5")["user_llm"]
    assert adapter_key(other) != adapter_key(few)
