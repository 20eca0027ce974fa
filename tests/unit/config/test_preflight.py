"""Missing packages and devices are reported before any work, and only for stages that need them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dep.config.loader import load_arms
from dep.config.schema import ConfigError
from dep.evaluation import wordnet
from dep.pipeline.arm import Arm
from dep.pipeline.scheduler import check_arms
from dep.utils import optional_deps as extras
from dep.utils.errors import DepError

CONF = Path(__file__).resolve().parents[3] / "conf"
STAGES = ["train", "generate", "evaluate"]


def _arms(folder: Path, *overrides: str) -> list[Arm]:
    _, configs = load_arms([CONF / "demo.yaml"], ["compare=[]", f"runs={folder}", *overrides])
    return [Arm(name, config, 0, "reviews") for name, config in configs.items()]


@pytest.mark.parametrize(
    ("setting", "package", "instead"),
    [
        ("backbone.quantization=fp8", "torchao", "none"),
        ("backbone.attn_implementation=flash_attention_2", "flash_attn", "auto"),
        ("train.cross_entropy=cut", "cut_cross_entropy", "chunked"),
        ("generate.engine=vllm", "vllm", "hf"),
    ],
)
def test_the_error_for_a_missing_package_names_a_value_that_does_not_need_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, package: str, instead: str
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == package else object())
    key = setting.partition("=")[0]
    with pytest.raises(ConfigError, match=rf"{setting}: expected the package {package}.*or set {key}={instead}"):
        check_arms(_arms(tmp_path, setting), STAGES)
    monkeypatch.setattr(extras, "find_spec", lambda name: object())
    check_arms(_arms(tmp_path, setting), STAGES)


def test_a_stage_that_does_not_run_needs_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    check_arms(_arms(tmp_path, "generate.engine=vllm"), ["train"])
    check_arms(_arms(tmp_path, "train.cross_entropy=cut", "arms=[rag]"), STAGES)
    check_arms(_arms(tmp_path, "generate.engine=vllm"), [])


def test_training_with_flex_attention_is_refused_without_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arms = _arms(tmp_path, "backbone.attn_implementation=flex_attention")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match="expected a CUDA device to train on"):
        check_arms(arms, STAGES)
    check_arms(arms, ["generate"])


def test_contrast_is_refused_without_an_adapter_to_switch_off(tmp_path: Path) -> None:
    with pytest.raises(DepError, match=r"arm rag: generate.contrast=0.5: expected an adapter.*found none in .*rag"):
        check_arms(_arms(tmp_path, "generate.contrast=0.5", "arms=[rag]"), STAGES)
    check_arms(_arms(tmp_path, "generate.contrast=0.5", "arms=[dep,oppu,lora]"), STAGES)
    check_arms(_arms(tmp_path, "generate.contrast=0.5", "arms=[rag]"), ["train"])
    with pytest.raises(ConfigError, match="contrast_floor: expected a share from 0 to 1, found 2"):
        _arms(tmp_path, "generate.contrast_floor=2")


def test_a_missing_wordnet_is_reported_before_any_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(wordnet.VARIABLE, str(tmp_path))
    with pytest.raises(DepError, match=r"lacks WordNet's index\.noun"):
        check_arms(_arms(tmp_path), STAGES)
    check_arms(_arms(tmp_path), ["train", "generate"])
    check_arms(_arms(tmp_path, "evaluate.texts=false"), STAGES)
    check_arms(_arms(tmp_path, "evaluate.metrics.names=[rouge1]"), STAGES)
