"""Tests that README's Python example and CONTRIBUTING's recipes run as they are written."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from dep.config.loader import load
from dep.config.schema import SLOTS, build
from dep.data.prompts.settings import PromptConfig
from dep.evaluation.metrics import metric_class
from dep.models.compressors.settings import NoCompressorConfig
from dep.models.settings import ProjectorConfig, SoftPromptConfig
from dep.models.soft_prompt import build_soft_prompt
from dep.training.module import PersonalizationModule
from dep.training.settings import TrainConfig
from dep.types import Corpus, Example, Item, Review
from dep.utils.errors import DepError

ROOT = Path(__file__).resolve().parents[2]
IMPORTS = """
from __future__ import annotations
from contextlib import contextmanager
from dataclasses import dataclass, replace
import torch
import dep
from dep.evaluation.metrics.base import TextMetric
from dep.methods.rag import RAG
from dep.models.adapters.base import Adapter, SoftTokens
from dep.models.backbones.layers import decoder_layers
from dep.models.compressors.base import Compressed, CompressorLosses
from dep.types import Corpus, Item, Review
"""
CORPUS = Corpus(
    "Home",
    [Review("ann", "lamp", text, 5.0, "Good", time) for time, text in enumerate(["short", "a longer one", "target"])],
    {"lamp": Item("lamp", "A lamp")},
)
EXAMPLE = Example("Home", "test", 2, (0, 1))


def recipe(slot: str) -> str:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    match = re.search(rf"<!-- recipe: {slot} -->\n```python\n(.*?)```", text, re.S)
    assert match, slot
    assert len(match[1].strip().splitlines()) <= 14, f"the recipe of a {slot} is too long"
    return match[1]


@pytest.fixture
def my_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a function that writes recipes to the module `my_module` on Python's path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(*slots: str) -> None:
        (tmp_path / "my_module.py").write_text(IMPORTS + "\n".join(map(recipe, slots)))
        sys.modules.pop("my_module", None)

    yield write
    sys.modules.pop("my_module", None)


def test_the_python_of_the_readme_runs_as_written(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```python\n(.*?)```", text, re.S)
    assert block
    exec(compile(block[1], "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    expected = re.findall(r"print\(.*?\)\s+# (\[.*\])", block[1])
    assert [line.replace("-0.0", "0.0") for line in printed] == expected


def test_a_user_defined_component_fills_every_slot_by_its_module_and_class(my_module: Any) -> None:
    slots = ["source", "embedder", "retriever", "compressor", "method"]
    my_module(*slots)
    words = [f"{slot}.kind=my_module:My{slot.capitalize()}" for slot in slots]
    config = load([], [*words, "compressor.latent=5", "embedder.power=2.0"])
    assert build(config, "source").load()["Home"].reviews[0].user == "ann"
    vectors_NE = build(config, "embedder").encode(["abba", "cab"])
    assert torch.allclose(vectors_NE.norm(dim=1), torch.ones(2))
    assert build(config, "retriever")(EXAMPLE, CORPUS, 1) == [1]
    out = build(config, "compressor", 26)(vectors_NE)
    assert out.latent.shape == (2, 5)
    prompt, soft = build(config, "method").configure(PromptConfig(), SoftPromptConfig())
    assert (prompt.text, soft.branches) == (False, [])


def test_a_user_defined_metric_is_named_by_its_module_and_class(my_module: Any) -> None:
    my_module("metric")
    metric = metric_class("my_module:MyMetric")()
    assert metric.per_example(["two words"], ["three more words"]) == [2.0]


def test_a_mistyped_key_of_a_user_defined_component_is_refused(my_module: Any) -> None:
    my_module("compressor")
    with pytest.raises(DepError, match="latnet"):
        load([], ["compressor.kind=my_module:MyCompressor", "compressor.latnet=5"])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("nowhere:Mine", "expected a module nowhere, found none on Python's path"),
        ("my_module:Absent", "expected a class Absent in my_module, found none"),
        ("vae", "expected one of ae, jumprelu, l1, none, sae, topk, found 'vae'"),
    ],
)
def test_a_missing_component_is_named_in_the_error(my_module: Any, kind: str, message: str) -> None:
    my_module("compressor")
    with pytest.raises(DepError, match=re.escape(message)):
        load([], [f"compressor.kind={kind}"])


def test_an_entry_point_of_an_installed_package_registers_a_component(
    my_module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib.metadata import EntryPoint

    my_module("embedder")
    point = EntryPoint("letters", "my_module:MyEmbedder", "dep.embedder")
    monkeypatch.setattr("dep.utils.registry.entry_points", lambda group: [point] if group == "dep.embedder" else [])
    config = load([], ["embedder.kind=letters"])
    assert SLOTS["embedder"].build(config.embedder).dim == 26


def test_a_user_defined_adapter_is_built_and_trained_by_its_module_and_class(
    my_module: Any, model: Any, tokenizer: Any, prompts: Any, collate: Any
) -> None:
    my_module("adapter")
    settings = SoftPromptConfig(adapter="my_module:MyAdapter")
    soft = build_soft_prompt(
        settings, NoCompressorConfig(), ProjectorConfig(), width=6, model=model, tokenizer=tokenizer
    )
    module = PersonalizationModule(model, soft, TrainConfig())
    module.losses(collate(prompts))["total"].backward()
    trained = {name for name, p in module.named_parameters() if p.requires_grad}
    assert trained == {"soft_prompt.adapter.linear.weight", "soft_prompt.adapter.linear.bias"}
    assert all(p.grad is not None for p in module.parameters() if p.requires_grad)


def test_a_user_defined_adapter_acts_inside_the_layers_and_is_trained_there(
    my_module: Any, model: Any, tokenizer: Any, prompts: Any, collate: Any
) -> None:
    my_module("layer_adapter")
    settings = SoftPromptConfig(adapter="my_module:LayerBias", branches=[])
    soft = build_soft_prompt(
        settings, NoCompressorConfig(), ProjectorConfig(), width=6, model=model, tokenizer=tokenizer
    )
    assert not soft.prefix_safe
    module, batch = PersonalizationModule(model, soft, TrainConfig()), collate(prompts)
    batch.ids[torch.isin(batch.ids, torch.tensor(soft.injected_ids))] = 1
    batch.vectors, batch.present = {}, {}
    module.losses(batch)["total"].backward()
    bias = soft.adapter.bias
    assert (bias.grad.abs().sum(1) > 0).all(), "every layer has a gradient"
    assert not any(layer._forward_hooks for layer in model.modules())
