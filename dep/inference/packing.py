"""Packing: puts the examples of a batch one after another into a single row, so that there is no padding to compute.

    row 0  a a a a .                [ a a a a  b b  c c c ]
    row 1  b b . . .       ->         0 1 2 3  0 1  0 1 2     positions
    row 2  c c c . .                  each token attends to its own example alone

If transformers gets position ids but no mask and no cache, it infers from the positions where an example begins. It
then separates examples by the variable-length kernels of flash attention or by a block-diagonal mask. Some
architectures do not separate them; recurrent ones carry a state across. No architecture says so, therefore
`supports_packing` tries it twice: on a miniature for the architecture (`capabilities`), and on the loaded model for
its attention kernel.
"""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

PACKED = ("flash_attention_2", "flex_attention")
"""Attention kernels that do not compute attention between different packed examples."""
_SEGMENTS = (5, 3)
"""Numbers of tokens in the two examples of the trial."""
_TOLERANCE = 0.05
"""Largest allowed difference, relative to the activations' norm; rounding causes less, a leak far more."""


class Packed(NamedTuple):
    """The R real tokens of a batch in one row: embeddings [1, R, D], and positions [1, R] within each example."""

    embeds: Tensor
    positions: Tensor


def pack(embeds_BTD: Tensor, real_BT: Tensor) -> Packed:
    """Concatenate the real tokens of all examples of a batch.

    Args:
        embeds_BTD: input embeddings; padding may be on either side.
        real_BT: bool, False on padding.
    """
    return Packed(embeds_BTD[real_BT][None], (real_BT.long().cumsum(1) - 1)[real_BT][None])


@torch.no_grad()
def supports_packing(model: PreTrainedModel, tolerance: float = _TOLERANCE) -> bool:
    """Return whether `model` computes two packed examples as it computes each alone (three small forward passes).

    Args:
        model: a causal LM of transformers.
        tolerance: largest allowed difference, relative to the norm of the last hidden states.
    """
    if "position_ids" not in inspect.signature(model.forward).parameters:
        return False
    embedding: Any = model.get_input_embeddings()
    like, draw = embedding.weight, torch.Generator().manual_seed(0)
    width = like.shape[1]
    scale = float(like.float().std()) if like.is_floating_point() else 1.0
    rows = [
        (scale * torch.randn(1, length, width, generator=draw)).to(model.device, model.dtype) for length in _SEGMENTS
    ]
    places = [torch.arange(length, device=model.device)[None] for length in _SEGMENTS]
    body = model.base_model
    alone = [body(inputs_embeds=row, position_ids=at, use_cache=False)[0] for row, at in zip(rows, places, strict=True)]
    together = body(inputs_embeds=torch.cat(rows, 1), position_ids=torch.cat(places, 1), use_cache=False)[0]
    apart = torch.cat(alone, 1).float()
    return bool((apart - together.float()).norm() <= tolerance * apart.norm())
