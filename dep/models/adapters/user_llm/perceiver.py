"""A Perceiver resampler (Jaegle et al., 2021; Flamingo's form): any number of states to a fixed number of latents.

latents <- latents + attention(norm(latents); norm([states, latents]));   latents <- latents + mlp(norm(latents))
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Perceiver(nn.Module):
    """States [B, L, W] -> latents [B, M, W].

    Args:
        width: W.
        latents: M.
        layers: number of attention layers.
        heads: of attention.
    """

    def __init__(self, width: int, latents: int, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.latents_MW = nn.Parameter(torch.randn(latents, width) / width**0.5)
        self.layers = nn.ModuleList(_Layer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, states_BLW: Tensor, present_BL: Tensor) -> Tensor:
        """Resample states; `present_BL` is false for padding, which changes nothing."""
        x_BMW = self.latents_MW.repeat(len(states_BLW), 1, 1)  # a copy: torch's FLOP counter trips over a view
        for layer in self.layers:
            x_BMW = layer(x_BMW, states_BLW, present_BL)
        out: Tensor = self.norm(x_BMW)
        return out


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_latents, self.norm_states, self.norm_mlp = (nn.LayerNorm(width) for _ in range(3))
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x_BMW: Tensor, states_BLW: Tensor, present_BL: Tensor) -> Tensor:
        query_BMW = self.norm_latents(x_BMW)
        seen = torch.cat([self.norm_states(states_BLW), query_BMW], 1)
        hidden = torch.cat([~present_BL, present_BL.new_zeros(query_BMW.shape[:2])], 1)
        attended, _ = self.attention(query_BMW, seen, seen, key_padding_mask=hidden, need_weights=False)
        x_BMW = x_BMW + attended
        out: Tensor = x_BMW + self.mlp(self.norm_mlp(x_BMW))
        return out
