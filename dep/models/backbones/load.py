"""Loads the frozen LLM of Eq. 7, which is a causal LM of transformers that accepts `inputs_embeds`.

Before a model is loaded, `dep.inference.capabilities` finds out by trial whether its architecture can be used.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from dep.models.backbones.activation_checkpointing import checkpoint_activations
from dep.models.backbones.gqa_attention import use_gqa_attention
from dep.models.backbones.known import KNOWN, local_name
from dep.models.backbones.layers import decoder_layers
from dep.models.backbones.number_format import resolved
from dep.models.backbones.vocabulary import add_to_tokenizer, add_tokens
from dep.models.settings import BackboneConfig
from dep.types import SPECIAL_TOKENS
from dep.utils.allocator import return_large_blocks
from dep.utils.errors import DepError, MissingFile
from dep.utils.optional_deps import missing_package

DEMO = Path(__file__).resolve().parent / "tiny"
"""The folder of the backbone `demo`, the small one that comes with the package."""
_DTYPES: dict[str, Any] = {"auto": "auto", "float32": torch.float32, "bfloat16": torch.bfloat16}


def load(
    config: BackboneConfig, special_tokens: tuple[str, ...] = SPECIAL_TOKENS
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a frozen backbone in eval mode, and add `special_tokens` to its tokenizer and embedding.

    Code that comes with a model is not run, and only safetensors weights are read.

    Args:
        config: what to load.
        special_tokens: tokens to add if the tokenizer lacks them.

    Returns:
        The model (on the CPU, or where quantization placed it) and its tokenizer, which has a pad token.

    Raises:
        FileNotFoundError: the model is not on this machine, and its download is not allowed or fails.
        ValueError: the tokenizer has no end token.
    """
    return_large_blocks()
    name = files(config)
    shared: dict[str, Any] = {"local_files_only": not config.allow_download, "trust_remote_code": False}
    try:
        model_config = AutoConfig.from_pretrained(name, **shared)
        tokenizer = _tokenizer(config, model_config)
        model = AutoModelForCausalLM.from_pretrained(
            name,
            dtype=_DTYPES[resolved(config.dtype)],
            attn_implementation=_attention(config, model_config),
            use_safetensors=True,
            **_quantization(config),
            **shared,
        )
    except OSError as error:
        raise MissingFile(_missing(config, name, error)) from error
    add_tokens(model, tokenizer, special_tokens)
    use_gqa_attention(model)
    if config.activation_checkpointing:
        checkpoint_activations(model)
    if config.compile:
        for layer in decoder_layers(model):
            layer.compile(dynamic=True)
    model.requires_grad_(False)
    return model.eval(), tokenizer


def load_tokenizer(config: BackboneConfig, special_tokens: tuple[str, ...] = SPECIAL_TOKENS) -> PreTrainedTokenizerBase:
    """Load only the tokenizer of a backbone; it gives the same ids as the one that `load` returns.

    Raises:
        FileNotFoundError: for the reasons of `load`.
        ValueError: for the reasons of `load`.
    """
    name = files(config)
    try:
        model_config = AutoConfig.from_pretrained(
            name, local_files_only=not config.allow_download, trust_remote_code=False
        )
        tokenizer = _tokenizer(config, model_config)
    except OSError as error:
        raise MissingFile(_missing(config, name, error)) from error
    add_to_tokenizer(tokenizer, special_tokens)
    return tokenizer


def _tokenizer(config: BackboneConfig, model_config: PretrainedConfig) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a backbone and make sure that it has an end token and a pad token."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        files(config), local_files_only=not config.allow_download, trust_remote_code=False
    )
    if tokenizer.eos_token_id is None:
        named = model_config.get_text_config(decoder=True).eos_token_id
        ids = named if isinstance(named, list) else [named]
        known = set(tokenizer.get_vocab().values())
        end = next((token_id for token_id in ids if token_id in known), None)
        if end is None:
            raise DepError(
                f"backbone.name_or_path={config.name_or_path}",
                "a tokenizer with an end token, which closes a review",
                "eos_token_id neither in tokenizer_config.json nor, among the tokenizer's ids, in config.json",
                "name it as eos_token in tokenizer_config.json",
            )
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def files(config: BackboneConfig) -> str:
    """Return the folder of a backbone's files, or its name on the hub; a GGUF file is converted on its first use.

    Raises:
        MissingFile: a known model is not fetched yet, or a GGUF file does not exist.
        DepError: a GGUF file cannot be converted.
    """
    return str(DEMO) if config.name_or_path == "demo" else local_name(config.name_or_path)


def _attention(config: BackboneConfig, model_config: Any) -> str | None:
    if message := missing_package("backbone.attn_implementation", config.attn_implementation):
        raise DepError(message)
    if config.attn_implementation != "auto":
        return config.attn_implementation
    dtype = resolved(config.dtype)
    half = dtype == "bfloat16" or (
        dtype == "auto" and getattr(model_config, "dtype", None) in (torch.bfloat16, torch.float16)
    )
    if half and torch.cuda.is_available() and find_spec("flash_attn") is not None:
        return "flash_attention_2"
    return None  # transformers' choice: SDPA if the architecture has it, else eager


def _quantization(config: BackboneConfig) -> dict[str, Any]:
    if config.quantization == "none":
        return {}
    device = torch.cuda.current_device() if torch.cuda.is_available() else "cpu"
    if config.quantization == "fp8":
        from torchao.quantization import Float8WeightOnlyConfig
        from transformers import TorchAoConfig

        return {"quantization_config": TorchAoConfig(Float8WeightOnlyConfig()), "device_map": {"": device}}
    from transformers import BitsAndBytesConfig

    if config.quantization == "int8":
        settings = BitsAndBytesConfig(load_in_8bit=True)
    else:
        compute = torch.float32 if config.dtype == "float32" else torch.bfloat16
        settings = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute)
    return {"quantization_config": settings, "device_map": {"": device}}


def _missing(config: BackboneConfig, name: str, error: OSError) -> str:
    where = "is not a folder here and not in the local Hugging Face cache"
    if Path(name).is_dir():
        where = f"cannot be read from its folder ({str(error).splitlines()[0]})"
    elif config.allow_download:
        where = f"could not be downloaded ({str(error).splitlines()[0]})"
    way_out = (
        f"set backbone.name_or_path to one of {', '.join(KNOWN)} (which `dep fetch` fetches), a GGUF file, or a folder "
        "with config.json, tokenizer.json and *.safetensors"
    )
    if not config.allow_download:
        way_out += ", or backbone.allow_download=true to fetch it from the hub"
    return f"backbone {config.name_or_path!r} {where}; {way_out}"
