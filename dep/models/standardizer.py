"""Standardises vectors: every component gets mean 0 and standard deviation 1 over the training vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Standardizer(nn.Module):
    """Maps x to (x - mean) / std, where mean and std are saved with the adapter and not trained.

    Args:
        mean_E: [E], the mean of the training vectors.
        std_E: [E], the standard deviation of the training vectors.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean_E: Tensor, std_E: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean_E.float())
        self.register_buffer("std", std_E.float())

    def forward(self, x_SE: Tensor) -> Tensor:
        """Standardise vectors [..., E]."""
        return (x_SE - self.mean) / self.std

    def undo(self, x_SE: Tensor) -> Tensor:
        """Undo the standardisation of vectors [..., E]."""
        return x_SE * self.std + self.mean


def scaling(width: int) -> tuple[Tensor, Tensor]:
    """Return a mean [E] of 0 and a deviation [E] that scale unit vectors of this width to components of size one."""
    return torch.zeros(width), torch.full((width,), width**-0.5)


def width_scale(x_SE: Tensor) -> float:
    """Return the square root of E, which scales unit vectors [..., E] to components of size one."""
    return float(x_SE.shape[-1]) ** 0.5


def scaled(x_SE: Tensor) -> Tensor:
    """Scale unit vectors [..., E] to components of size one."""
    return x_SE * width_scale(x_SE)
