"""The cost of an arm: numbers counted without weights equal those of a loaded model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, Qwen2Config

from dep.models.backbones.cost import (
    CARDS,
    Card,
    Load,
    architecture,
    estimate,
    fitted,
    kv_bytes,
    reading_flops,
    training_flops,
)
from dep.models.backbones.geometry import parameters
from dep.models.backbones.kept_activations import kept_bytes
from dep.models.backbones.load import load
from dep.models.settings import BackboneConfig

SEVEN = BackboneConfig(name_or_path="Qwen/Qwen2.5-7B-Instruct")
PAPER = Load(3996 * 5, 512 * 5, 3996, 2048, 390, 3998, 1, 8, 2048, True)
TINY = Qwen2Config(
    hidden_size=64, intermediate_size=160, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
    vocab_size=300, tie_word_embeddings=True,
)  # fmt: skip


def test_parameters_equal_those_of_the_loaded_model() -> None:
    model, _ = load(BackboneConfig(), special_tokens=())
    total, embedding, skipped = parameters(architecture(BackboneConfig()))
    assert skipped == 0
    assert total == sum(p.numel() for p in model.parameters())
    assert embedding == model.get_input_embeddings().weight.numel(), "tied: counted once"


def test_the_papers_backbone_has_its_published_size() -> None:
    assert parameters(architecture(SEVEN))[0] == 7_615_616_512


def test_activations_counted_without_storage_equal_those_that_a_real_step_stores() -> None:
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


@pytest.mark.parametrize("tokens", [40, 600])
def test_operations_equal_those_that_torch_counts_with_attention_over_the_full_square(tokens: int) -> None:
    model = AutoModelForCausalLM.from_config(TINY, attn_implementation="sdpa").requires_grad_(False)
    embeds = torch.randn(1, tokens, 64, requires_grad=True)
    counted = []
    for backward in (False, True):
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            logits = model(inputs_embeds=embeds, use_cache=False, logits_to_keep=30).logits
            if backward:
                logits.sum().backward()
        counted.append(counter.get_total_flops())
    attention = 2 * tokens * tokens * 64 * 3  # the half that a causal kernel skips
    assert reading_flops(TINY, tokens, 30) + attention == pytest.approx(counted[0], rel=0.01)
    # Without fusion the backward pass of attention costs two forward ones; a fused kernel computes the scores again.
    assert training_flops(TINY, tokens, 30) + (3 * 2 - 3.5) * attention == pytest.approx(counted[1], rel=0.01)


def test_bytes_of_the_cache_equal_those_that_the_model_stores() -> None:
    model, _ = load(BackboneConfig())
    kept = model(input_ids=torch.zeros(1, 7, dtype=torch.long), use_cache=True).past_key_values
    assert kv_bytes(model.config, 7, 4) == sum(p.nbytes for layer in kept.layers for p in (layer.keys, layer.values))


def test_the_time_of_training_is_its_operations_at_the_cards_rate() -> None:
    card = Card("ideal", 80, 1e12, 1e12, reached=0.5, decoding=1.0)
    work, shape = replace(PAPER, validate=0), architecture(SEVEN)
    flops = training_flops(shape, work.prompt + work.target, work.target) * work.train
    assert estimate(SEVEN, work, card, trained=1).train_s == pytest.approx(flops / 0.5e12)


def test_a_profile_costs_as_much_as_a_review_of_its_length() -> None:
    card = Card("ideal", 80, 1e12, 1e12, reached=0.5, decoding=1.0)
    none, two = (estimate(SEVEN, replace(PAPER, calls=n, call_tokens=780), card, trained=0) for n in (0, 2))
    scoring = PAPER.test * reading_flops(architecture(SEVEN), PAPER.prompt + PAPER.target, PAPER.target) / 0.5e12
    assert two.generate_s - none.generate_s == pytest.approx(2 * (none.generate_s - scoring))


def test_the_papers_training_fits_80_gb_and_24_gb_only_with_shorter_examples() -> None:
    large, small = CARDS
    assert fitted(SEVEN, PAPER, large, 20_000_000)[0] == PAPER
    shorter, cost = fitted(SEVEN, PAPER, small, 20_000_000)
    assert 1024 < shorter.longest < PAPER.longest
    assert cost.train_gb <= 24
    assert estimate(SEVEN, PAPER, small, 20_000_000).train_gb > 0.95 * 24


def test_a_backbone_of_unknown_size_is_refused_with_the_way_out() -> None:
    with pytest.raises(FileNotFoundError, match=r"folder with a config\.json"):
        architecture(BackboneConfig(name_or_path="nobody/nothing"))


def test_kept_tokens_are_read_once_and_left_out_of_every_training_step() -> None:
    card = Card("a machine", 1e9, 1e12, 1e11, reached=1.0, decoding=1.0)
    once = replace(PAPER, train=100, validate=0, test=0, validation_writes=False, kept=2000.0, read=10)
    shape = architecture(SEVEN)
    expected = 100 * training_flops(shape, 2048 - 2000 + 390, 390) + 10 * reading_flops(shape, 2000, 0)
    assert estimate(SEVEN, once, card, 1).train_s == pytest.approx(expected / 1e12)
    whole = estimate(SEVEN, replace(once, kept=0.0, read=0), card, 1)
    assert whole.train_s > 3 * estimate(SEVEN, once, card, 1).train_s
    assert whole.train_gb > estimate(SEVEN, once, card, 1).train_gb
