"""Torch's SDPA for models whose heads share keys and values, without a copy of them for each head.

    query [B, H, T, d]  ->  [B, H/G, G T, d]     the G heads of a group as so many more queries of one head

transformers copies keys and values G times in each layer, and the mask is turned from bool to float in each layer
too. On a processor that costs a tenth of a training step and, after a long prompt, more than the step of a new token.
The numbers that are multiplied are the same. On a GPU this is for single new tokens alone: elsewhere a mask G times as
long would cost more than it saves.
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
    """Let a model that attends by torch's SDPA do so in groups."""
    if model.config._attn_implementation == "sdpa":
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
    """The mask of one group's queries, additive; made once for all layers that are given the same."""
    made: Tensor | None = getattr(mask, "for_groups", None)
    if made is None:
        boolean = mask.dtype == torch.bool
        added = torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, -torch.inf) if boolean else mask
        made = added.repeat(1, 1, groups, 1)
        mask.for_groups = made  # type: ignore[attr-defined]  # lives as long as the mask
    return made


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
