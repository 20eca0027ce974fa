"""A tiny GGUF file, written as llama.cpp's converter writes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEMPLATE = "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}</s>{% endfor %}"


@pytest.fixture
def llama(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Return a random Llama with grouped queries, whose sizes are whole blocks of a quantised tensor."""
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, rope_theta=5000.0, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(11)
        return LlamaForCausalLM(config).eval()


@pytest.fixture
def write_gguf(llama: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> Callable[..., Path]:
    """Return a function that writes the Llama into a GGUF file, its matrices in a number format of llama.cpp."""
    gguf = pytest.importorskip("gguf", reason="needs the package gguf")

    def write(path: Path, kind: str = "Q4_1", architecture: str = "llama", skip: str = "") -> Path:
        config, writer = llama.config, gguf.GGUFWriter(path, architecture)
        writer.add_block_count(config.num_hidden_layers)
        writer.add_context_length(config.max_position_embeddings)
        writer.add_embedding_length(config.hidden_size)
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count(config.num_attention_heads)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_vocab_size(config.vocab_size)
        _add_tokenizer(writer, gguf, tokenizer)
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
        for name, weight in llama.state_dict().items():
            if name == "lm_head.weight" or name == skip:
                continue
            heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(
                name.split(".")[-2]
            )
            values = (_permuted(weight, heads) if heads else weight).numpy()
            quantized = gguf.GGMLQuantizationType[kind if weight.dim() > 1 else "F32"]
            data = gguf.quantize(values, quantized)
            writer.add_tensor(f"{names.get_name(name.removesuffix('.weight'))}.weight", data, raw_dtype=quantized)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return write


def _permuted(weight: Tensor, heads: int) -> Tensor:
    """The rows of a query or key projection in llama.cpp's order: the halves of each head, interleaved."""
    return weight.view(heads, 2, -1, weight.shape[1]).transpose(1, 2).reshape(weight.shape).contiguous()


def _add_tokenizer(writer: object, gguf: object, tokenizer: PreTrainedTokenizerFast) -> None:
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    kinds = [gguf.TokenType.CONTROL if t in ("<pad>", "</s>") else gguf.TokenType.NORMAL for t in tokens]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(0)
    writer.add_chat_template(TEMPLATE)
