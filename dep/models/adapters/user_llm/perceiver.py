"""The Perceiver resampler (Jaegle et al., 2021, as in Flamingo), which reduces a user's L states to M latents.

latents <- latents + attention(norm(latents); norm([states, latents]));   latents <- latents + mlp(norm(latents))
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Perceiver(nn.Module):
    """Maps states [B, L, W] to latents [B, M, W].

    Args:
        width: W, the width of states and latents.
        latents: M, the number of latents.
        layers: number of attention layers.
        heads: number of attention heads in a layer.
    """

    def __init__(self, width: int, latents: int, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.latents_MW = nn.Parameter(torch.randn(latents, width) / width**0.5)
        self.layers = nn.ModuleList(_PerceiverLayer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, states_BLW: Tensor, present_BL: Tensor) -> Tensor:
        """Compute the latents [B, M, W] from those states for which `present_BL` is True; padding has no effect."""
        x_BMW = self.latents_MW.repeat(len(states_BLW), 1, 1)  # a copy, since torch's FLOP counter fails on a view
        for layer in self.layers:
            x_BMW = layer(x_BMW, states_BLW, present_BL)
        out: Tensor = self.norm(x_BMW)
        return out


class _PerceiverLayer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_latents, self.norm_states, self.norm_mlp = (nn.LayerNorm(width) for _ in range(3))
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x_BMW: Tensor, states_BLW: Tensor, present_BL: Tensor) -> Tensor:
        query_BMW = self.norm_latents(x_BMW)
        keys = torch.cat([self.norm_states(states_BLW), query_BMW], 1)
        masked = torch.cat([~present_BL, present_BL.new_zeros(query_BMW.shape[:2])], 1)
        attended_BMW, _ = self.attention(query_BMW, keys, keys, key_padding_mask=masked, need_weights=False)
        x_BMW = x_BMW + attended_BMW
        out: Tensor = x_BMW + self.mlp(self.norm_mlp(x_BMW))
        return out
