"""Grouped-query attention by torch's SDPA that does not copy keys and values for each head.

The G heads of a group are treated as one head with G times as many queries:

    query [B, H, T, d]  ->  [B, H/G, G T, d]

transformers copies keys and values G times in each layer, and converts the mask from bool to float in each layer. On a
CPU the copies take a tenth of a training step and, after a long prompt, more time than the new token itself. The
products stay the same. On a GPU only single new tokens are computed in this way, since for longer inputs the G times
longer mask costs more than the copies.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "sdpa_grouped"


def use_gqa_attention(model: PreTrainedModel) -> None:
    """Switch a model to this module's attention, if transformers' attention interface runs torch's SDPA for it.

    Models with their own attention code, such as Falcon, are left unchanged.
    """
    if model.config._attn_implementation == "sdpa" and model._supports_attention_backend:
        model.config._attn_implementation = NAME


def _attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **given: Any
) -> tuple[Tensor, None]:
    batch, heads, queries, width = query.shape
    groups = heads // key.shape[1]
    long = queries > 1 and (attention_mask is None or query.device.type != "cpu")
    if groups == 1 or long or given.get("position_bias") is not None:
        plain: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **given)
        return plain
    out = torch.nn.functional.scaled_dot_product_attention(
        query.reshape(batch, -1, groups * queries, width), key, value,
        attn_mask=None if attention_mask is None else _for_groups(attention_mask, groups, query.dtype),
        dropout_p=given.get("dropout", 0.0), scale=given.get("scaling"),
    )  # fmt: skip
    return out.reshape(batch, heads, queries, width).transpose(1, 2).contiguous(), None


def _for_groups(mask: Tensor, groups: int, dtype: torch.dtype) -> Tensor:
    """Return an additive mask for the queries of a group; all layers with the same mask share the result."""
    cached: Tensor | None = getattr(mask, "for_groups", None)
    if cached is None:
        boolean = mask.dtype == torch.bool
        added = torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, -torch.inf) if boolean else mask
        cached = added.repeat(1, 1, groups, 1)
        mask.for_groups = cached  # type: ignore[attr-defined]  # lives as long as the mask
    return cached


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
