"""An embedder that is fitted: its keys, its file in the cache, and its copy in an adapter's folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from rich.console import Console

import dep
from dep.config.loader import load_arms
from dep.data.embedders import Style
from dep.pipeline import content
from dep.pipeline.adapter_folder import check_embedder, describe
from dep.pipeline.arm import Arm
from dep.pipeline.builders import build_data, build_module
from dep.pipeline.content import embedder_fingerprint
from dep.pipeline.keys import adapter_key
from dep.pipeline.resources import Resources
from dep.utils.errors import DepError

CONF = Path(__file__).resolve().parents[3] / "conf"
STYLE = "embedder={kind: style, dim: 8}"


def _arm(tmp_path: Path, *overrides: str) -> tuple[Resources, Arm]:
    small = ["source.users=16", "source.circles=2", "source.items_per_circle=12", "arms=[dep]", "compare=[]"]
    words = [*small, f"cache={tmp_path / 'cache'}", f"runs={tmp_path / 'runs'}", STYLE, *overrides]
    run, configs = load_arms([CONF / "table1.yaml"], words)
    resources = Resources(run, Console(quiet=True))
    return resources, resources.arms(configs, [0])[0]


@pytest.fixture(autouse=True)
def _another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "_EMBEDDERS", {})


def test_keys_name_the_fitted_weights_before_vectors_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resources, arm = _arm(tmp_path)
    before = adapter_key(arm), embedder_fingerprint(arm.config)
    assert len(list((tmp_path / "cache" / "embedders").glob("style-*.safetensors"))) == 1
    monkeypatch.setattr(Style, "fit", lambda *_: pytest.fail("it is in the cache"))
    content._EMBEDDERS.clear()
    assert (adapter_key(arm), embedder_fingerprint(arm.config)) == before
    assert resources.cache(arm.config).embedder.fingerprint() == before[1]
    fewer, _ = _arm(tmp_path, "protocol.test_examples=5", "protocol.val_examples=5")
    assert fewer.cache(fewer.config).embedder.fingerprint() == before[1], "held-out examples are not fitted to"


def test_another_training_population_gives_other_weights_and_keys(tmp_path: Path) -> None:
    arms = [_arm(tmp_path, *words)[1] for words in ([], ["source.seed=5"], ["protocol.split=users"])]
    assert len({embedder_fingerprint(arm.config) for arm in arms}) == 3


def test_without_the_reviews_the_key_hashes_the_settings(tmp_path: Path) -> None:
    nowhere = f"source={{kind: amazon2014, folder: {tmp_path}}}"
    small = ["arms=[dep]", "compare=[]", f"cache={tmp_path / 'cache'}", nowhere]
    _, configs = load_arms([CONF / "digital_music.yaml"], [*small, STYLE])
    _, others = load_arms([CONF / "digital_music.yaml"], [*small, "embedder={kind: style, dim: 9}"])
    assert embedder_fingerprint(configs["dep"]) != embedder_fingerprint(others["dep"])


def test_an_adapter_s_folder_carries_its_fitted_embedder(tmp_path: Path) -> None:
    resources, arm = _arm(tmp_path)
    data = build_data(resources, arm)
    module = build_module(resources, arm, data)
    folder = tmp_path / "adapter"
    describe(folder, arm, module, width=8, categories=3)
    module.save_adapter(folder / "adapter.safetensors", {})
    embedder = resources.cache(arm.config).embedder
    shutil.rmtree(tmp_path / "cache")
    writer = dep.Personalizer.from_pretrained(folder)
    assert writer._requests.embedder.fingerprint() == embedder.fingerprint()
    assert torch.equal(writer._requests.encode(["A text, loud!"]), embedder.encode(["A text, loud!"]))
    check_embedder(folder, arm)
    other = _arm(tmp_path, "source.seed=5")[1]
    with pytest.raises(DepError, match=r"set embedder\.fitted="):
        check_embedder(folder, other)
    check_embedder(folder, _arm(tmp_path, "source.seed=5", f"embedder.fitted={folder}")[1])
