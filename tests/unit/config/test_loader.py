"""Configuration: every file loads and builds, and invalid settings are refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dep.config.compare import differing
from dep.config.loader import from_dict, load, load_arms, to_yaml
from dep.config.schema import (
    SLOTS,
    ConfigError,
    RunConfig,
    as_dict,
    build,
    identity,
    label,
    pairs,
)

CONF = Path(__file__).resolve().parents[3] / "conf"
RUNS = sorted(CONF.glob("*.yaml"))
ARMS = sorted((CONF / "arm").glob("*.yaml"))


@pytest.mark.parametrize("path", RUNS, ids=lambda p: p.stem)
def test_every_run_file_loads_with_all_its_arms_and_builds_its_components(path: Path) -> None:
    run, arms = load_arms([path])
    assert {name for pair in pairs(run) for name in pair} <= set(arms)
    for config in arms.values():
        assert label(config)
        compressor = build(config, "compressor", 4)
        assert compressor(torch.ones(1, 4)).latent.shape == (1, compressor.width_out)
        method = build(config, "method")
        prompt, soft = method.configure(config.prompt, config.soft_prompt)
        assert prompt.history == 0 or prompt.history == config.prompt.history
        assert set(soft.branches) <= {"his", "diff", "user"}
        assert callable(build(config, "retriever"))


@pytest.mark.parametrize("path", ARMS, ids=lambda p: p.stem)
def test_every_arm_is_a_file_of_at_most_five_lines_that_loads_over_the_world(path: Path) -> None:
    published = path.stem == "dep_published_notext"  # which undoes what a study sets for all its arms
    assert len(path.read_text().splitlines()) <= (8 if published else 5)
    assert isinstance(load([CONF / "synthetic.yaml", path]), RunConfig)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.lrr=1", r"train\.lrr.*Did you mean.*lr"),
        ("trian.lr=1", r"trian.*Did you mean.*train"),
        ("compressor.rhoo=0.1", r"compressor\.rhoo.*Did you mean.*rho"),
        ("compressor.kind=vae", r"compressor\.kind: expected one of ae, jumprelu, l1, none, sae, topk, found 'vae'"),
        ("train.lr=fast", r"train\.lr.*fast"),
        ("train.monitor=val_loss", r"train\.monitor.*val_meteor"),
        ("prompt.branches=[his]", r"prompt\.branches"),
        ("history", "key=value"),
    ],
)
def test_an_invalid_setting_is_refused_by_name(override: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        load([CONF / "synthetic.yaml"], [override])


def test_a_key_of_another_variant_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"compressor\.latent"):
        load([CONF / "synthetic.yaml"], ["compressor.kind=none", "compressor.latent=3"])


def test_changing_a_slots_kind_drops_the_other_kinds_fields() -> None:
    config = load([CONF / "digital_music.yaml"], ["source.kind=synthetic"])
    assert config.source.kind == "synthetic"
    assert config.source.folder == "cache/worlds"


@pytest.mark.parametrize("data", sorted((CONF / "data").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_data_file_after_a_run_file_changes_the_reviews_and_no_arm(data: Path) -> None:
    before, arms = load_arms([CONF / "table1.yaml"])
    after, moved = load_arms([CONF / "table1.yaml", data])
    assert after.source.kind != before.source.kind
    assert list(moved) == list(arms)
    for section in ("train", "soft_prompt", "compare"):
        assert as_dict(after)[section] == as_dict(before)[section]
    for name, config in moved.items():
        assert as_dict(config)["source"] == as_dict(after)["source"]
        assert as_dict(config)["method"] == as_dict(arms[name])["method"]


def test_the_error_for_a_missing_file_lists_the_existing_files() -> None:
    with pytest.raises(ConfigError, match=r"demo\.yaml"):
        load([CONF / "dmeo.yaml"])


def test_the_error_for_a_wrong_key_in_an_arm_names_the_arm_and_its_file(tmp_path: Path) -> None:
    (tmp_path / "arm").mkdir()
    (tmp_path / "arm" / "mine.yaml").write_text("method: {kind: dep}\ncompresor: {kind: ae}\n")
    (tmp_path / "run.yaml").write_text("arms: [mine]\n")
    with pytest.raises(ConfigError, match=r"arm mine \(.*mine\.yaml\): compresor.*compressor"):
        load_arms([tmp_path / "run.yaml"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["protocol.test_examples=0"], r"protocol\.test_examples: expected 1 or more, found 0"),
        (["train.epochs=-1"], r"train\.epochs: expected 1 or more, found -1"),
        (["projector.tokens=0"], r"projector\.tokens: expected 1 or more, found 0"),
        (
            ["projector={start: words, scale_to_embedding: true}"],
            r"projector\.scale_to_embedding: expected false with projector\.start=words",
        ),
        (["seeds=[]"], r"seeds: expected one or more different numbers"),
        (["seeds=[1,1]"], r"seeds: expected one or more different numbers"),
        (["name=../x"], r"name: expected the name of a folder in runs, found '\.\./x'"),
        (["arms=[]"], "arms: expected names of arms, found none"),
        (["arms=[rag,rag]"], "arms: rag is named twice"),
        (["arms=[ragg]"], r"ragg\.yaml: no such configuration file; did you mean rag\.yaml"),
        (["protocol.zzz=1"], r"protocol\.zzz.*expected one of min_text_chars, "),
    ],
)
def test_an_invalid_value_is_refused_before_any_work(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_arms([CONF / "demo.yaml"], ["compare=[]", *words])


def test_the_error_for_a_value_in_place_of_a_list_shows_a_list() -> None:
    with pytest.raises(ConfigError, match=r"seeds: expected a list, as in \[0,1\]"):
        load([CONF / "demo.yaml"], ["seeds=3"])


def test_a_comparison_of_an_arm_that_is_not_in_the_run_is_refused() -> None:
    with pytest.raises(ConfigError, match="nobody"):
        load_arms([CONF / "demo.yaml"], ["compare=[dep - nobody]"])


def test_a_resolved_configuration_reads_back_as_itself(tmp_path: Path) -> None:
    config = load([CONF / "demo.yaml"], ["train.lr=0.5"])
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config))
    assert to_yaml(load([path])) == to_yaml(config)


def test_identity_depends_on_the_named_parts_alone() -> None:
    a, b = load([CONF / "demo.yaml"]), load([CONF / "demo.yaml"], ["generate.seed=5"])
    assert identity(a, "train", "prompt.text") == identity(b, "train", "prompt.text")
    assert identity(a, "generate") != identity(b, "generate")


def test_the_papers_preset_is_the_papers_recipe() -> None:
    config = load([CONF / "paper.yaml"])
    assert config.backbone.name_or_path == "Qwen/Qwen2.5-7B-Instruct"
    assert (config.embedder.kind, config.source.kind) == ("bge_m3", "dpl")
    assert (config.train.lr, config.train.weight_decay, config.train.warmup_ratio) == (1e-5, 0.025, 0.01)
    assert (config.train.lambda_, config.train.gamma, config.compressor.rho) == (100, 1e-3, 0.05)
    assert (config.train.effective_batch, config.train.epochs, config.prompt.history) == (16, 5, 8)
    assert (config.compressor.latent, config.projector.shared, config.projector.init) == (512, False, "xavier")
    assert (config.protocol.min_text_chars, config.protocol.min_user_reviews, config.protocol.train_targets) == (
        200,
        18,
        8,
    )
    assert (config.protocol.targets_used, config.protocol.val_examples) == (1, 512)
    assert config.evaluate.metrics.settings["bertscore"].model == "allenai/led-base-16384"


def test_the_two_presets_differ_in_known_fields_that_are_documented() -> None:
    differences = {
        key: (a, b) for key, a, b, _ in differing(load([CONF / "paper.yaml"]), load([CONF / "official.yaml"]))
    }
    assert differences == {
        "embedder.dtype": ("float16", "float32"),
        "protocol.peer_pool": ("kept", "test_profile"),
        "difference.weighting": ("uniform", "profile_distance"),
        "difference.profile": ("shown", "pool_and_next"),
        "difference.min_reviewers": (1, 2),
        "prompt.pairing": ("own", "with_peers"),
        "prompt.list_markers": ("flat", "indented"),
        "prompt.embedding_line": ("below", "same"),
        "prompt.strip_fields": (True, False),
        "prompt.overflow": ("drop", "cut"),
        "prompt.close_cut_targets": (False, True),
        "prompt.chat": ("qwen", "public_code"),
        "prompt.max_input_tokens": (2048, 3072),
        "prompt.max_target_tokens": (2048, 3072),
        "prompt.max_review_tokens": (1024, None),
        "soft_prompt.losses_see": ("shown", "all"),
        "compressor.activation": ("sigmoid", "gelu"),
        "compressor.decoder_activation": ("none", "gelu"),
        "compressor.recon_over": ("branch", "mixed"),
        "compressor.init": ("xavier", "normal"),
        "compressor.mean_over": ("batch", "mixed"),
        "compressor.outside": ("linear", "hard"),
        "compressor.dtype": ("float32", "bfloat16"),
        "projector.init": ("xavier", "normal"),
        "train.lambda_": (100.0, 1600.0),
        "train.window_loss": ("examples", "tokens"),
        "train.last_window": ("fill", "short"),
        "train.warmup": ("from_share", "from_zero"),
        "train.decay_biases": (True, False),
        "evaluate.metrics.settings.rouge1.aggregate": ("mean", "bootstrap_median"),
        "evaluate.metrics.settings.rouge1.seed": (0, 42),
        "evaluate.metrics.settings.rougeL.aggregate": ("mean", "bootstrap_median"),
        "evaluate.metrics.settings.rougeL.seed": (0, 42),
        "evaluate.metrics.settings.rougeL.bootstraps_before": (0, 2),
    }
    assert all(meaning for *_, meaning in differing(load([CONF / "paper.yaml"]), load([CONF / "official.yaml"])))
    assert differing(load([CONF / "paper.yaml"]), load([CONF / "paper.yaml"])) == []


def test_a_field_that_one_of_two_configurations_lacks_is_listed() -> None:
    differences = {key: (a, b) for key, a, b, _ in differing(load([CONF / "paper.yaml"]), load([CONF / "demo.yaml"]))}
    assert differences["source.users"] == ("-", 70)


def test_every_choice_of_every_slot_has_a_typed_config() -> None:
    for slot, registry in SLOTS.items():
        assert registry.default in registry, slot
        for kind in registry:
            assert registry.config_class(kind).__dataclass_fields__["kind"].default == kind
            assert callable(registry.component(kind))


def test_vary_makes_an_arm_for_each_combination_of_values(tmp_path: Path) -> None:
    (tmp_path / "arm").mkdir()
    (tmp_path / "arm/rag.yaml").write_text("method: {kind: rag}\n")
    (tmp_path / "run.yaml").write_text("arms: [rag]\nvary: {prompt.history: [0, 2], train.seed: [1]}\n")
    _, configs = load_arms([tmp_path / "run.yaml"])
    assert list(configs) == ["rag@history=0@seed=1", "rag@history=2@seed=1"]
    assert [config.prompt.history for config in configs.values()] == [0, 2]
    assert label(configs["rag@history=2@seed=1"]) == "RAG, history=2, seed=1"


def test_two_arms_with_the_same_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="vary: expected a name of its own for each arm, found two arms called"):
        load_arms([CONF / "figure2.yaml"], ["arms=[rag]", "vary={prompt.history: [2, 2]}"])


def test_the_parts_of_a_joined_embedder_are_typed_and_checked_like_a_component() -> None:
    config = load([], ["embedder={kind: joined, parts: [{kind: minilm, batch_size: 4}, {kind: style, dim: 12}]}"])
    first, second = config.embedder.parts  # type: ignore[attr-defined]
    assert (first["kind"], first["batch_size"], first["dtype"]) == ("minilm", 4, "float32")
    assert (second["kind"], second["dim"]) == ("style", 12)
    again = from_dict(as_dict(config))
    assert again.embedder == config.embedder
    for wrong, message in (
        ("{kind: style, dimm: 4}", "dimm"),
        ("{kind: style, dim: four}", "dim"),
        ("{kind: stile}", "stile"),
    ):
        with pytest.raises(ConfigError, match=message):
            load([], [f"embedder={{kind: joined, parts: [{wrong}]}}"])
