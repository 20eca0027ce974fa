"""Tests of the GPU benchmark's code on the CPU, with a small model and short prompts."""

from __future__ import annotations

import subprocess
import sys
from io import StringIO

import pytest
import torch
from rich.console import Console
from transformers import Qwen2Config

from dep.inference.prefix_cache import prefix_span
from dep.models.backbones.activation_checkpointing import checkpoint_activations
from dep.models.backbones.cost import reading_flops, training_flops
from dep.models.backbones.load import load
from dep.models.settings import BackboneConfig
from dep.training.module import PersonalizationModule
from dep.training.settings import TrainConfig
from dep.types import SLOT_TOKENS
from experiments.bench import gpu
from experiments.bench.measure import Row
from experiments.bench.untrained import soft_prompt

SHAPE = Qwen2Config(
    hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
    vocab_size=1200, tie_word_embeddings=False, pad_token_id=0,
)  # fmt: skip
ABSENT = "omegaconf wandb nltk rouge_score bitsandbytes FlagEmbedding flash_attn numba pyarrow bm25s".split()


@pytest.fixture(scope="module")
def tokenizer():
    return load(BackboneConfig())[1]


@pytest.fixture
def model():
    return gpu.random_model(SHAPE, "cpu", torch.float32)


def test_prompts_have_the_papers_lengths_and_a_pair_of_slots_for_each_review(tokenizer) -> None:
    sample = gpu.prompts(tokenizer, 60)
    slots = {branch: tokenizer.get_vocab()[SLOT_TOKENS[branch]] for branch in ("his", "diff")}
    for prompt in sample:
        assert len(prompt.ids) <= 2048 + 100
        for branch, token in slots.items():
            assert prompt.ids.count(token) == len(prompt.vectors.get(branch, ())) == prompt.kept
    assert sum(len(p.ids) for p in sample) / len(sample) > 1200
    assert 250 < sum(len(p.target) for p in sample) / len(sample) < 530
    assert {p.kept for p in sample} >= {1, 2, 3}, "uneven slot counts"
    assert [p.ids for p in gpu.prompts(tokenizer, 60)] == [p.ids for p in sample]


@pytest.mark.parametrize("micro_batch", [1, 3])
def test_our_step_has_the_loss_and_the_gradients_of_padded_rows(model, tokenizer, micro_batch: int) -> None:
    sample = gpu.prompts(tokenizer, 5, shrink=20)
    case, operations = gpu.case("padded", gpu.Way(micro_batch), model, tokenizer, sample, 260)
    ours, theirs = case.ours(), case.alternative()
    assert case.same(ours, theirs)
    assert not case.same([2 * ours[0], *ours[1:]], theirs)
    assert operations > 0


def test_operations_exclude_the_backward_pass_before_the_first_soft_token(model, tokenizer) -> None:
    module = PersonalizationModule(model, soft_prompt(8, model, tokenizer, gpu.WIDTH), TrainConfig())
    prompt = next(p for p in gpu.prompts(tokenizer, 5, shrink=20) if p.kept)
    batch = gpu.Collator(0)([prompt])
    still = prefix_span(batch, module.soft_prompt.injected_ids).still
    assert still == prompt.ids.index(tokenizer.get_vocab()[SLOT_TOKENS["his"]])
    total = training_flops(SHAPE, len(prompt.ids) + len(prompt.target), len(prompt.target))
    backward = training_flops(SHAPE, still, 0) - reading_flops(SHAPE, still, 0)
    assert gpu.needed(module, batch) == pytest.approx(total - backward)


def test_utilisation_and_epoch_time_follow_from_the_speed() -> None:
    row = Row("GPU training step: padded, 1", "16 prompts", "", 8.0, 1.0, 8, 8, 8, "examples/s", "H100", 4)
    epoch, share = gpu.derived(row, 16 * 60e12, 960e12)
    assert epoch.ours == pytest.approx(3996 / 8 / 60)
    assert epoch.ratio_median == pytest.approx(8 / epoch.ours)
    assert share.ratio_median == pytest.approx(0.5), "8 examples of 60 TFLOP a second, of 960"
    assert len(gpu.derived(row, 1.0, 0.0)) == 1, "the utilisation of an unknown device is not known"


def test_four_bit_layers_pass_gradients_and_take_less_memory(model, tokenizer) -> None:
    pytest.importorskip("bitsandbytes")
    before = sum(p.numel() * p.element_size() for p in model.model.layers.parameters())
    checkpoint_activations(model)
    quantized = gpu.in_nf4(model)
    assert sum(p.numel() * p.element_size() for p in quantized.model.layers.parameters()) < before / 5
    module = PersonalizationModule(quantized, soft_prompt(8, quantized, tokenizer, gpu.WIDTH), TrainConfig())
    batch = gpu.Collator(0)(gpu.prompts(tokenizer, 2, shrink=20))
    loss, *gradients = gpu.step_of(module, [batch], lambda batch: module.losses(batch)["total"])
    assert bool(loss.isfinite())
    assert any(bool(g.abs().max() > 0) for g in gradients)


def test_a_machine_without_a_gpu_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ValueError, match="expected a CUDA device, found none"):
        gpu.main([], Console(file=StringIO()))


def test_the_benchmark_can_be_imported_with_only_the_core_packages() -> None:
    without = f"import sys; sys.modules.update(dict.fromkeys({ABSENT!r}))"
    subprocess.run([sys.executable, "-c", f"{without}; import experiments.bench.gpu"], check=True)
