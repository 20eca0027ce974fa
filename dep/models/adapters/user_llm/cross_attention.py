"""Gated cross-attention, as in Flamingo: the frozen LLM's hidden states attend to memory vectors of the user.

    h <- h + tanh(a) · attention(norm(h); memory);   h <- h + tanh(b) · mlp(norm(h)),   a = b = 0 at first

Such a block runs before every n-th decoder layer. While its gates tanh(a) and tanh(b) are zero, the LLM's output is
unchanged. Hooks add the blocks while the LLM reads a batch; the LLM's own modules do not change.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from dep.models.backbones.layers import decoder_layers


class GatedCrossAttention(nn.Module):
    """A block of gated cross-attention and a gated feed-forward network.

    Args:
        width: D, the width of the LLM.
        memory_width: W, the width of the memory.
        heads: number of attention heads.
    """

    def __init__(self, width: int, memory_width: int, heads: int) -> None:
        super().__init__()
        self.norm, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, kdim=memory_width, vdim=memory_width, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.gate, self.gate_mlp = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))

    def forward(self, hidden_BTD: Tensor, memory_BMW: Tensor, present_BM: Tensor) -> Tensor:
        """Update the hidden states by attention to the users' memory.

        Args:
            hidden_BTD: the input of a decoder layer.
            memory_BMW: the users' memory vectors.
            present_BM: True where a memory vector is not padding.

        Returns:
            The new hidden states [B, T, D], computed in the dtype of the gates and cast to that of `hidden_BTD`.
        """
        x_BTD = hidden_BTD.to(self.gate)
        attended_BTD, _ = self.attention(
            self.norm(x_BTD), memory_BMW, memory_BMW, key_padding_mask=~present_BM, need_weights=False
        )
        x_BTD = x_BTD + self.gate.tanh() * attended_BTD
        x_BTD = x_BTD + self.gate_mlp.tanh() * self.mlp(self.norm_mlp(x_BTD))
        return x_BTD.to(hidden_BTD.dtype)


@contextmanager
def attached(
    model: PreTrainedModel, blocks: nn.ModuleList, every: int, memory_BMW: Tensor, present_BM: Tensor
) -> Iterator[None]:
    """Inside the `with` statement, run a block before every n-th layer of `model`, where n is `every`.

    Args:
        model: the frozen LLM; example b of its batch attends to `memory_BMW[b]`.
        blocks: one block for each hooked layer, the first before layer 0.
        every: the distance between hooked layers.
        memory_BMW: [B, M, W], the memory vectors of each example's user.
        present_BM: [B, M] bool, True where a memory vector is not padding.
    """
    layers = list(decoder_layers(model))[::every]

    def hook(block: nn.Module) -> Any:
        def before(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
            with torch.autocast(memory_BMW.device.type, enabled=False):
                if args:
                    return (block(args[0], memory_BMW, present_BM), *args[1:]), kwargs
                return args, kwargs | {"hidden_states": block(kwargs["hidden_states"], memory_BMW, present_BM)}

        return before

    handles = [
        layer.register_forward_pre_hook(hook(block), with_kwargs=True)
        for layer, block in zip(layers, blocks, strict=True)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
