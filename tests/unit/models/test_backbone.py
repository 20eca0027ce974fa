"""Loading a frozen model from a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel, Qwen2Config

from dep.models.backbones.fingerprint import fingerprint
from dep.models.backbones.load import load, load_tokenizer
from dep.models.settings import BackboneConfig
from dep.types import SPECIAL_TOKENS
from dep.utils.errors import DepError


@pytest.fixture
def folder(bare_model, tokenizer, tmp_path: Path) -> Path:
    bare_model().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


def test_a_folder_loads_frozen_in_eval_mode_with_the_special_tokens(folder: Path) -> None:
    model, tokenizer = load(BackboneConfig(str(folder)))
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert set(SPECIAL_TOKENS) <= set(tokenizer.get_vocab())
    assert tokenizer.pad_token_id == 0


@pytest.mark.parametrize("name", ["qwen2", "llama", "gpt2", "gemma2"])
def test_architectures_load_alike(bare_model, tokenizer, tmp_path: Path, name: str) -> None:
    bare_model(name).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model, _ = load(BackboneConfig(str(tmp_path)))
    assert model(inputs_embeds=torch.zeros(1, 2, 32)).logits.shape[:2] == (1, 2)


def test_a_tokenizer_without_an_end_token_takes_the_one_that_the_model_names(bare_model, tokenizer, tmp_path) -> None:
    bare_model().save_pretrained(tmp_path)  # its configuration names 1, which is </s>
    tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path)
    _, loaded = load(BackboneConfig(str(tmp_path)))
    assert loaded.eos_token == "</s>"


def test_a_tokenizer_without_any_end_token_is_refused_before_the_weights_are_read(tokenizer, tmp_path: Path) -> None:
    Qwen2Config(eos_token_id=None).save_pretrained(tmp_path)
    tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path)
    for loader in (load, load_tokenizer):
        with pytest.raises(DepError, match=r"a tokenizer with an end token.*eos_token in tokenizer_config\.json"):
            loader(BackboneConfig(str(tmp_path)))


def test_a_tokenizer_loaded_alone_has_the_ids_of_the_loaded_model(folder: Path) -> None:
    _, whole = load(BackboneConfig(str(folder)))
    assert load_tokenizer(BackboneConfig(str(folder))).get_vocab() == whole.get_vocab()


def test_a_missing_model_is_named_with_the_way_out() -> None:
    with pytest.raises(FileNotFoundError, match=r"'no/such-model'.*not in the local.*folder.*allow_download"):
        load(BackboneConfig("no/such-model"))


def test_a_folder_without_weights_is_named(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"cannot be read from its folder \(.*safetensors"):
        load(BackboneConfig(str(folder)))


def test_pickled_weights_are_not_read(folder: Path, bare_model) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(bare_model().state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match="cannot be read"):
        load(BackboneConfig(str(folder)))


def test_the_fingerprint_is_of_the_weights_not_of_the_number_format(folder: Path) -> None:
    single, _ = load(BackboneConfig(str(folder), dtype="float32"))
    half, _ = load(BackboneConfig(str(folder), dtype="bfloat16"))
    assert half.dtype == torch.bfloat16
    assert fingerprint(single) == fingerprint(half)
    _nudge(single)
    assert fingerprint(single) != fingerprint(half)


@torch.no_grad()
def _nudge(model: PreTrainedModel) -> None:
    next(model.parameters()).view(-1)[0] += 0.5


@pytest.mark.slow
@pytest.mark.parametrize("quantization", ["nf4", "int8", "fp8"])
def test_quantized_weights_load_and_pass_a_gradient_to_their_input(folder: Path, quantization: str) -> None:
    pytest.importorskip("torchao" if quantization == "fp8" else "bitsandbytes")
    dtype = "bfloat16" if quantization == "fp8" else "float32"
    model, tokenizer = load(BackboneConfig(str(folder), dtype=dtype, quantization=quantization))
    kinds = {type(p).__name__ for p in model.parameters()}
    assert {"nf4": "Params4bit", "int8": "Int8Params", "fp8": "Float8Tensor"}[quantization] in kinds
    assert set(SPECIAL_TOKENS) <= set(tokenizer.get_vocab())
    embeds = torch.randn(1, 4, 32, requires_grad=True)
    model(inputs_embeds=embeds.to(model.dtype)).logits.sum().backward()
    assert embeds.grad.isfinite().all()
    assert embeds.grad.abs().sum() > 0
    assert len(fingerprint(model)) == 64
