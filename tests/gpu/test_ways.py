"""Every way to read a step's prompts on a GPU, against rows padded to the longest: loss and gradients are the same."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
from transformers import Qwen2Config

from dep.models.backbones.load import load
from dep.models.settings import BackboneConfig
from dep.training.module import PersonalizationModule
from dep.training.settings import TrainConfig
from experiments.bench import gpu
from experiments.bench.untrained import plain_losses, soft_prompt

pytestmark = pytest.mark.gpu
SHAPE = Qwen2Config(
    hidden_size=256, intermediate_size=512, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
    vocab_size=1200, tie_word_embeddings=False, pad_token_id=0,
)  # fmt: skip


@pytest.mark.parametrize("name", gpu.WAYS)
def test_a_way_gives_what_padded_rows_give(name: str) -> None:
    way = gpu.WAYS[name]
    if way.needs and not find_spec(way.needs):
        pytest.skip(f"{way.needs} is not installed")
    _, tokenizer = load(BackboneConfig())
    half = way.attention == "flash_attention_2"
    model = gpu.random_model(SHAPE, "cuda", torch.bfloat16 if half else torch.float32)
    case, _ = gpu.case(name, way, model, tokenizer, gpu.prompts(tokenizer, 9, shrink=8), 640)
    assert case.same(case.ours(), case.alternative())


def test_cut_cross_entropy_gives_what_whole_logits_give() -> None:
    pytest.importorskip("cut_cross_entropy")
    _, tokenizer = load(BackboneConfig())
    model = gpu.random_model(SHAPE, "cuda", torch.bfloat16)
    module = PersonalizationModule(
        model, soft_prompt(8, model, tokenizer, gpu.WIDTH).cuda(), TrainConfig(cross_entropy="cut")
    )
    batch = gpu.Collator(0)(gpu.prompts(tokenizer, 4, shrink=8)).to(model.device)
    with torch.autocast("cuda", torch.bfloat16):
        ours, theirs = module.losses(batch)["total"], plain_losses(module, batch, 640)
    torch.testing.assert_close(ours.float(), theirs.float(), rtol=1e-2, atol=0)
