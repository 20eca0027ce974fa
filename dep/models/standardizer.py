"""Standardised vectors: mean 0 and deviation 1 in every component over the training vectors."""

from __future__ import annotations

from torch import Tensor, nn


class Standardizer(nn.Module):
    """x -> (x - mean) / deviation; both are saved with the adapter and never trained.

    Args:
        mean_E: mean of the training vectors.
        std_E: their standard deviation.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean_E: Tensor, std_E: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean_E.float())
        self.register_buffer("std", std_E.float())

    def forward(self, x_SE: Tensor) -> Tensor:
        """Standardised vectors [..., E]."""
        return (x_SE - self.mean) / self.std

    def undo(self, x_SE: Tensor) -> Tensor:
        """Vectors in their own units again."""
        return x_SE * self.std + self.mean
