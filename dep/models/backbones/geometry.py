"""Reads the sizes of an architecture (parameters, attention heads, positions) from its configuration alone.

Configurations of transformers have different names for the same size; their attribute maps unify most names.
`DynamicCache` tells which layers keep keys and values. Parameters are counted on torch's meta device.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache, PretrainedConfig
from transformers.cache_utils import DynamicLayer

_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
_ACTIVE = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "top_k_experts")


class Parameters(NamedTuple):
    """Numbers of parameters: all, those in embedding and output layer, and those in experts that a token skips."""

    total: int
    embedding: int
    skipped: int


class Attention(NamedTuple):
    """Sizes of an attention layer: heads, widths of a key and of a value, and numbers cached for each token.

    `cached` is 0 for a layer that reuses another layer's keys and values.
    """

    heads: int
    key: int
    value: int
    cached: int


def attention_layers(config: PretrainedConfig) -> list[Attention]:
    """Return the sizes of all attention layers in order; none for a recurrent architecture."""
    text = config.get_text_config(decoder=True)
    if not getattr(text, "num_attention_heads", None):
        return []
    layers = DynamicCache(config=text).layers
    configs = list(getattr(text, "per_layer_config", None) or [])
    configs = [configs[at] if len(configs) > at else text for at in range(text.num_hidden_layers)]
    caching = [_attention(own) for own, layer in zip(configs, layers, strict=False) if isinstance(layer, DynamicLayer)]
    sharing = [_attention(own)._replace(cached=0) for own in configs[len(layers) :]]
    return [*caching, *sharing]


def _attention(config: Any) -> Attention:
    heads = int(config.num_attention_heads)
    if getattr(config, "kv_lora_rank", None) and getattr(config, "qk_nope_head_dim", None):  # MLA caches the latents
        rope = int(config.qk_rope_head_dim)
        return Attention(heads, config.qk_nope_head_dim + rope, config.v_head_dim, config.kv_lora_rank + rope)
    size = int(getattr(config, "head_dim", None) or width(config) // heads)
    groups = getattr(config, "num_key_value_heads", None) or getattr(config, "num_kv_heads", None) or heads
    if getattr(config, "multi_query", False) and not getattr(config, "new_decoder_architecture", False):
        groups = 1
    return Attention(heads, size, size, 2 * int(groups) * size)


def width(config: PretrainedConfig) -> int:
    """Return D, the width of the hidden states."""
    return int(config.get_text_config(decoder=True).hidden_size)


def position_limit(config: PretrainedConfig) -> int | None:
    """Return how many positions the model has according to its configuration; None if that sets no limit."""
    text = config.get_text_config(decoder=True)
    names = ("max_position_embeddings", "max_seq_len", "max_target_positions")
    limits = (getattr(text, name, None) for name in names)
    return next((limit for limit in limits if isinstance(limit, int)), None)


def rotary_limit(config: PretrainedConfig) -> int | None:
    """How many positions rotary embeddings were trained for, or are scaled to; None without them or without a limit.

    The scalings `linear`, `dynamic` and `yarn` multiply the positions by a factor; `llama3` and `longrope` state the
    product as the configuration's positions.
    """
    text, limit = config.get_text_config(decoder=True), position_limit(config)
    scaling = getattr(text, "rope_parameters", None)
    if limit is None or not scaling or getattr(text, "alibi", False):
        return None
    if scaling.get("rope_type") not in ("linear", "dynamic", "yarn"):
        return limit
    trained = scaling.get("original_max_position_embeddings") or limit
    return max(limit, int(trained * (scaling.get("factor") or 1)))


def parameters(config: PretrainedConfig) -> Parameters:
    """Count the parameters of an architecture on the meta device."""
    fields = as_json(config)
    if fields not in _counted:
        _counted[fields] = _count(config)
    return _counted[fields]


_counted: dict[str, Parameters] = {}
"""Results of `parameters`, by the fields of the configuration."""


def as_json(config: PretrainedConfig) -> str:
    """Return all fields of a configuration as JSON, which serves as a key for caches."""
    return config.to_json_string(use_diff=False)


def replaced(config: PretrainedConfig, **changed: Any) -> PretrainedConfig:
    """Return a copy of a configuration with the fields `changed` replaced."""
    fields = {**config.to_dict(), **changed}
    if changed:
        fields.pop("per_layer_config", None)  # by layer index; made anew from the layers' types
    return AutoConfig.for_model(fields.pop("model_type"), **fields)


def _count(config: PretrainedConfig) -> Parameters:
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(replaced(config))
    ends = [layer for layer in (model.get_input_embeddings(), model.get_output_embeddings()) if layer is not None]
    embedding = {id(layer.weight): layer.weight.numel() for layer in ends}
    text = config.get_text_config(decoder=True)
    count, active = (_first(text, names) for names in (_EXPERTS, _ACTIVE))
    share = max(0.0, 1 - active / count) if count and active else 0.0
    experts = sum(p.numel() for name, p in model.named_parameters() if ".experts." in name)
    return Parameters(sum(p.numel() for p in model.parameters()), sum(embedding.values()), int(share * experts))


def _first(config: Any, names: tuple[str, ...]) -> int:
    return next((int(value) for name in names if isinstance(value := getattr(config, name, None), int)), 0)
