"""Counts the activations that a training step stores for its backward pass, in bytes, on torch's meta device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from dep.models.backbones.geometry import as_json, replaced
from dep.models.backbones.miniature import LAYER_COUNTS

_A_LAYER = 34
"""Bytes that a layer stores per token and unit of width, if its architecture cannot be counted. The value is that of
attention and a feed-forward network of four times the width, in bfloat16 (Korthikanti et al. 2022, eq. 1, without
dropout masks)."""


def kept_bytes(config: PretrainedConfig, tokens: int) -> float:
    """Count the bytes of activations that one example of `tokens` tokens stores for the backward pass.

    The bytes are counted for one and for two layers in bfloat16 and extrapolated to all layers. An architecture whose
    code needs values, and not only shapes, gets a rule of thumb (`_A_LAYER`).
    """
    text = config.get_text_config(decoder=True)
    try:
        one, two = (_counted_bytes(text, layers, tokens) for layers in (1, 2))
    except Exception:  # whatever code of transformers raises on tensors without values
        return float(_A_LAYER) * text.hidden_size * text.num_hidden_layers * tokens
    return one + (two - one) * (text.num_hidden_layers - 1)


_known: dict[tuple[str, int, int], float] = {}
"""Counted bytes, by the fields of the configuration, the number of layers and the number of tokens."""


def _counted_bytes(config: PretrainedConfig, layers: int, tokens: int) -> float:
    key = as_json(config), layers, tokens
    if key not in _known:
        _known[key] = _count(_model(config, layers), tokens)
    return _known[key]


def _count(model: PreTrainedModel, tokens: int) -> float:
    embedding: Any = model.get_input_embeddings()
    with torch.device("meta"):
        embeds = torch.empty(1, tokens, embedding.weight.shape[1], dtype=torch.bfloat16, requires_grad=True)
        masks = (  # without one, transformers computes one from values; some architectures take two dimensions only
            torch.empty(1, 1, tokens, tokens, dtype=torch.bfloat16),
            torch.empty(1, tokens, dtype=torch.bfloat16),
        )
    try:
        return _stored(model, embeds, masks[0])
    except ValueError:
        return _stored(model, embeds, masks[1])


def _stored(model: PreTrainedModel, embeds: Tensor, mask: Tensor) -> float:
    """Count the bytes that autograd stores in a forward pass, without the weights."""
    weights = {p.untyped_storage()._cdata for p in model.parameters()}
    stored: dict[int, Tensor] = {}

    def store(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()._cdata
        if storage not in weights:
            stored.setdefault(storage, tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(store, lambda x: x):
        output = model.base_model(inputs_embeds=embeds, attention_mask=mask, use_cache=False)[0]
    total = float(sum(t.untyped_storage().nbytes() for t in stored.values()))
    del output
    return total


def with_layers(config: PretrainedConfig, layers: int, **changed: Any) -> PretrainedConfig:
    """Return a configuration with only the first `layers` layers, in which the fields `changed` are replaced."""
    text = config.get_text_config(decoder=True)
    fields = text.to_dict()
    count = next((fields[name] for name in LAYER_COUNTS if isinstance(fields.get(name), int)), layers)
    cut: dict[str, Any] = {
        name: v[:layers] for name, v in fields.items() if isinstance(v, list) and len(v) == count > 1
    }
    cut |= {name: layers for name in LAYER_COUNTS if name in fields}
    return replaced(text, **cut, **changed)


def _model(config: PretrainedConfig, layers: int) -> PreTrainedModel:
    """Build a model with the first layers on the meta device; its attention stores what a fused kernel stores."""
    config = with_layers(config, layers)
    ALL_ATTENTION_FUNCTIONS.register("shapes_only", _attend)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
        if model._supports_attention_backend:  # else it has attention code of its own
            model = AutoModelForCausalLM.from_config(config, attn_implementation="shapes_only")
    return model.to(torch.bfloat16).requires_grad_(False)


class _Fused(torch.autograd.Function):
    """A stand-in for attention that stores what a fused kernel stores: queries, keys, values and output."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Return a tensor that has only the right shape."""
        out = query.new_empty(*query.shape[:-1], value.shape[-1])
        ctx.save_for_backward(query, key, value, out)
        return out


def _attend(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, **_: Any) -> tuple[Tensor, None]:
    return _Fused.apply(query, key, value).transpose(1, 2).contiguous(), None
