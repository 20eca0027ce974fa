"""The cost of an arm: what is counted without weights agrees with what a loaded model holds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, Qwen2Config

from dep.cost import CARDS, Card, Load, architecture, estimate, fitted, kept_bytes, parameters
from dep.model.backbone import Backbone, load

SEVEN = Backbone.Config(name_or_path="Qwen/Qwen2.5-7B-Instruct")
PAPER = Load(3996 * 5, 512 * 5, 3996, 2048, 390, 3998, 1, 8, 2048, True)
TINY = Qwen2Config(
    hidden_size=64, intermediate_size=160, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
    vocab_size=300, tie_word_embeddings=True,
)  # fmt: skip


def test_parameters_are_those_of_the_loaded_model() -> None:
    model, _ = load(Backbone.Config(), special_tokens=())
    every, embedding = parameters(architecture(Backbone.Config()))
    assert every == sum(p.numel() for p in model.parameters())
    assert embedding == model.get_input_embeddings().weight.numel(), "tied: counted once"


def test_the_papers_backbone_has_the_size_that_its_makers_state() -> None:
    assert parameters(architecture(SEVEN))[0] == 7_615_616_512


def test_activations_counted_without_storage_are_those_that_a_real_step_keeps() -> None:
    model = AutoModelForCausalLM.from_config(TINY, attn_implementation="sdpa").to(torch.bfloat16).requires_grad_(False)
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if (at := tensor.untyped_storage().data_ptr()) not in weights:
            kept[at] = tensor
        return tensor

    embeds = torch.randn(1, 256, 64, dtype=torch.bfloat16, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        output = model.model(inputs_embeds=embeds, use_cache=False)
    found = sum(t.untyped_storage().nbytes() for t in kept.values())
    del output
    assert kept_bytes(TINY, 256) == pytest.approx(found, rel=0.1)


def test_a_frozen_backbone_costs_two_forward_passes_to_train_through() -> None:
    card = Card("ideal", 80, 1e12, 1e12, reached=1.0, decoding=1.0)
    work = replace(PAPER, validate=0)
    every, embedding = parameters(architecture(SEVEN))
    forward = 2 * (every - embedding / 2) * (work.prompt + work.target) * work.train / 1e12
    assert estimate(SEVEN, work, card, trained=1).train_s == pytest.approx(2 * forward)


def test_the_papers_training_fits_80_gb_and_24_gb_only_with_shorter_examples() -> None:
    large, small = CARDS
    assert fitted(SEVEN, PAPER, large, 20_000_000)[0] == PAPER
    shorter, cost = fitted(SEVEN, PAPER, small, 20_000_000)
    assert 1024 < shorter.longest < PAPER.longest
    assert cost.train_gb <= 24
    assert estimate(SEVEN, PAPER, small, 20_000_000).train_gb > 0.95 * 24


def test_a_backbone_of_unknown_size_is_refused_with_the_way_out() -> None:
    with pytest.raises(FileNotFoundError, match=r"folder with a config\.json"):
        architecture(Backbone.Config(name_or_path="nobody/nothing"))
