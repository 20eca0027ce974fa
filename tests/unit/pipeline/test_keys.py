"""Keys depend on content (weights, code versions, metric signatures) and on no setting that changes no number."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from dep.config.loader import load_arms
from dep.models.backbones.load import DEMO
from dep.pipeline import keys
from dep.pipeline.arm import Arm
from dep.pipeline.keys import adapter_key, alignment_key, encoder_key, prediction_key, score_key
from dep.utils import digest_memo
from dep.utils.errors import MissingFile

CONF = Path(__file__).resolve().parents[3] / "conf"


def arm(tmp_path: Path, *overrides: str, name: str = "dep") -> Arm:
    words = [f"arms=[{name}]", "compare=[]", f"cache={tmp_path / 'cache'}", *overrides]
    _, configs = load_arms([CONF / "table1.yaml"], words)
    return Arm(name, configs[name], 0, "reviews")


def all_keys(one: Arm) -> tuple[str, str, str]:
    return adapter_key(one), prediction_key(one), score_key(one)


def differences(a: tuple[str, ...], b: tuple[str, ...]) -> list[bool]:
    return [x != y for x, y in zip(a, b, strict=True)]


def test_new_weights_of_the_same_size_at_the_same_path_change_every_key(tmp_path: Path) -> None:
    folder = tmp_path / "llm"
    shutil.copytree(DEMO, folder)
    weights = next(folder.glob("*.safetensors"))
    with weights.open("ab") as file:
        file.truncate(20 << 20)  # as large as the files that keys once named by size alone
    one = arm(tmp_path, f"backbone.name_or_path={folder}")
    before = all_keys(one)
    with weights.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\1")
    assert differences(before, all_keys(one)) == [True, True, True]


def test_the_same_weights_in_another_folder_change_no_key(tmp_path: Path) -> None:
    shutil.copytree(DEMO, tmp_path / "llm")
    assert all_keys(arm(tmp_path, f"backbone.name_or_path={tmp_path / 'llm'}")) == all_keys(arm(tmp_path))


def test_a_file_is_read_once_for_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"a")
    digest = digest_memo.memoized_digest(path, tmp_path)
    digest_memo._digest.cache_clear()
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("read a second time"))
    assert digest_memo.memoized_digest(path, tmp_path) == digest


@pytest.mark.parametrize(
    "override",
    [
        "embedder.device=cpu", "embedder.batch_size=3", "backbone.compile=true", "backbone.allow_download=true",
        "backbone.activation_checkpointing=true", "train.devices=2", "train.max_tokens_per_forward=99",
        "train.progress=false", "generate.batch_size=3", "generate.progress=false", "evaluate.batch_size=3",
        "evaluate.metrics.settings.bertscore.batch_size=3", "evaluate.metrics.settings.bertscore.device=cpu",
    ],
)  # fmt: skip
def test_a_setting_that_changes_no_number_changes_no_key(tmp_path: Path, override: str) -> None:
    assert all_keys(arm(tmp_path, override)) == all_keys(arm(tmp_path))


@pytest.mark.parametrize(("name", "changes"), [("constant", True), ("dep", False)])
def test_the_control_s_learning_rate_enters_its_own_key_alone(tmp_path: Path, name: str, changes: bool) -> None:
    plain, changed = (arm(tmp_path, *words, name=name) for words in ((), ("soft_prompt.constant_lr=0.1",)))
    assert (adapter_key(plain) != adapter_key(changed)) is changes


def test_arms_with_and_without_texts_share_an_alignment_and_other_adapters_have_their_own(tmp_path: Path) -> None:
    on = ("train.align.epochs=2", "train.warm_start_epochs=1", "train.epochs=3")
    dep, alone, control = (arm(tmp_path, *on, name=name) for name in ("dep", "dep_notext", "constant"))
    assert dep.alignment_tasks == []  # it continues from the adapter of its warm start, which is aligned
    assert dep.first.alignment_tasks == alone.alignment_tasks == ["his", "diff"]
    assert alignment_key(dep.first) == alignment_key(alone) != alignment_key(control.first)
    own = replace(dep, config=replace(dep.config, warm_start="", warm_start_config=None))
    assert own.configured[0].text
    assert alignment_key(own) == alignment_key(alone)


@pytest.mark.parametrize(
    ("override", "epochs", "changes"),
    [
        ("train.align.tasks=[his]", 0, False), ("train.align.lr=0.5", 0, False), ("train.align.tasks=[his]", 1, True),
        ("train.align.lr=0.5", 1, True), ("train.align.max_examples=9", 1, True), ("train.align.epochs=2", 1, True),
    ],
)  # fmt: skip
def test_settings_of_the_alignment_change_the_adapter_s_key_if_there_is_one(
    tmp_path: Path, override: str, epochs: int, changes: bool
) -> None:
    plain, changed = (arm(tmp_path, f"train.align.epochs={epochs}", *word) for word in ((), (override,)))
    assert (adapter_key(plain) != adapter_key(changed)) is changes


def test_a_longer_training_changes_the_adapter_s_key_and_not_that_of_the_alignment(tmp_path: Path) -> None:
    plain, longer = (arm(tmp_path, "train.align.epochs=1", *word) for word in ((), ("train.epochs=9",)))
    assert adapter_key(plain) != adapter_key(longer)
    assert alignment_key(plain.first) == alignment_key(longer.first)


def test_the_micro_batch_changes_every_key(tmp_path: Path) -> None:
    assert differences(all_keys(arm(tmp_path, "train.micro_batch=2")), all_keys(arm(tmp_path))) == [True, True, True]


@pytest.mark.parametrize(
    ("part", "changed"),
    [
        ("difference", [True, True, True]), ("prompt", [True, True, True]), ("adapter", [True, True, True]),
        ("training", [True, True, True]), ("decoding", [False, True, True]), ("scoring", [False, False, True]),
    ],
)  # fmt: skip
def test_a_raised_version_changes_the_keys_that_depend_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, changed: list[bool]
) -> None:
    before = all_keys(arm(tmp_path))
    monkeypatch.setitem(keys.VERSIONS, part, keys.VERSIONS[part] + 1)
    assert differences(before, all_keys(arm(tmp_path))) == changed


def test_another_metric_signature_changes_the_score_key_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = all_keys(arm(tmp_path))
    monkeypatch.setattr(keys, "metric_signatures", lambda _: {"meteor": "another WordNet"})
    assert differences(before, all_keys(arm(tmp_path))) == [False, False, True]


def test_another_embedder_content_changes_the_keys_of_arms_that_read_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = [arm(tmp_path, name=name) for name in ("dep", "rag")]
    before = [all_keys(one) for one in arms]
    monkeypatch.setattr(keys, "embedder_fingerprint", lambda _: "new weights")
    assert differences(before[0], all_keys(arms[0])) == [True, True, True]
    assert before[1] == all_keys(arms[1])


def test_a_raised_pretraining_version_changes_the_encoder_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = arm(tmp_path, name="user_llm")
    before = encoder_key(one), adapter_key(one)
    monkeypatch.setitem(keys.VERSIONS, "pretraining", 2)
    assert differences(before, (encoder_key(one), adapter_key(one))) == [True, True]


def test_other_weights_of_a_dense_retriever_change_every_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = arm(tmp_path, "retriever={kind: dense, model: contriever}", name="rag")
    before = all_keys(one)
    monkeypatch.setattr("dep.data.retrievers.dense.Dense.fingerprint", lambda _: "new weights")
    assert differences(before, all_keys(one)) == [True, True, True]


def test_the_rendered_chat_frame_is_in_the_keys_so_that_a_date_in_a_template_changes_them(tmp_path: Path) -> None:
    folder = tmp_path / "llm"
    shutil.copytree(DEMO, folder)
    template = folder / "chat_template.jinja"
    template.write_text("{{ strftime_now('%d %b %Y') }}" + template.read_text())
    today = arm(tmp_path, f"backbone.name_or_path={folder}")
    assert today.frame is not None
    frame = replace(today.frame, pieces=("01 Jan 1999" + today.frame.pieces[0][11:], *today.frame.pieces[1:]))
    before = all_keys(today)
    assert all_keys(arm(tmp_path, f"backbone.name_or_path={folder}")) == before
    today.__dict__["frame"] = frame
    assert differences(before, all_keys(today)) == [True, True, True]


def test_another_adapter_in_the_same_folder_changes_what_a_trained_arm_predicts(tmp_path: Path) -> None:
    def key() -> str:
        return prediction_key(arm(tmp_path, "method.kind=trained", f"method.adapter={tmp_path}"))

    (tmp_path / "adapter_config.json").write_text('{"config": {"method": {"kind": "dep"}}}')
    (tmp_path / "adapter.safetensors").write_bytes(b"one")
    first = key()
    (tmp_path / "adapter.safetensors").write_bytes(b"other")
    assert key() != first


def test_a_trained_arm_without_its_adapter_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="expected a folder with adapter"):
        prediction_key(arm(tmp_path, "method.kind=trained", f"method.adapter={tmp_path / 'none'}"))


@pytest.mark.parametrize(
    "change", ["soft_prompt.style_vector.alpha=2", "soft_prompt.style_vector.layer=0", "profile.max_new_tokens=9"]
)
def test_the_texts_of_steering_follow_its_settings_and_the_writer_of_neutral_texts(tmp_path: Path, change: str) -> None:
    assert prediction_key(arm(tmp_path, change, name="style_vector")) != prediction_key(
        arm(tmp_path, name="style_vector")
    )


def test_a_raised_activation_version_changes_only_what_reads_activations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["style_vector", "style_vector_others", "e2p"]
    before = tuple(prediction_key(arm(tmp_path, name=name)) for name in names)
    monkeypatch.setitem(keys.VERSIONS, "activation", 2)
    assert differences(before, tuple(prediction_key(arm(tmp_path, name=name)) for name in names)) == [True, True, False]


def test_a_control_shares_the_adapter_of_the_method_that_it_tests(tmp_path: Path) -> None:
    for name in ("e2p", "lpm"):
        tested, control = arm(tmp_path, name=name), arm(tmp_path, name=f"{name}_others")
        assert adapter_key(tested) == adapter_key(control)
        assert prediction_key(tested) != prediction_key(control)
