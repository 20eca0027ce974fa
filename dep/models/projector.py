"""The projector (Eq. 6), which maps a latent vector to the LLM's input space.

    p_his = M_p(z_his),   p_diff = M_p(z_diff)

z -> z_SZ (any leading shape)   p -> p_SD   M_p -> two linear layers with a GELU between

With `tokens: n` the last layer gives n soft tokens for each latent: z_BKZ -> p_BND, where the n soft tokens of a latent
stand side by side and N = n K. The branch `user` keeps one for each latent.

Eq. 6 has one M_p for both branches, but Appendix C speaks of "two independent projection networks". The public code
reports 30.4 M trainable parameters (0.4% of 7.6 B), which fits two networks with a hidden layer as wide as the LLM.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dep.models.initialization import initialise
from dep.models.settings import ProjectorConfig
from dep.types import Branch


class Projector(nn.Module):
    """A two-layer network for each branch, or one network that all branches share."""

    def __init__(
        self, config: ProjectorConfig, width_in: int, width_out: int, branches: Sequence[Branch], embedding_norm: float
    ) -> None:
        """Create the networks.

        Args:
            config: the hidden width, the initial weights, and whether branches share a network.
            width_in: the width of the latents: Z, or E without a compressor.
            width_out: D, the width of the LLM.
            branches: the branches to project.
            embedding_norm: the mean norm of the LLM's token embeddings, which `scale_to_embedding` needs.
        """
        super().__init__()
        self.config = config
        self.embedding_norm = embedding_norm
        self.width_out = width_out
        hidden, counts = config.hidden or width_out, {branch: self.tokens(branch) for branch in branches}
        if config.shared:
            counts = {"shared": max(counts.values())}  # type: ignore[dict-item]
        self.networks = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(width_in, hidden), nn.GELU(), nn.Linear(hidden, count * width_out))
                for name, count in counts.items()
            }
        )
        initialise(self, config.init)
        with torch.no_grad():
            for network in self.networks.values():
                network[-1].weight.mul_(config.init_scale)  # type: ignore[index]

    def tokens(self, branch: Branch) -> int:
        """Return how many soft tokens a latent of `branch` has."""
        return 1 if branch == "user" else self.config.tokens

    def forward(self, z_SZ: Tensor, branch: Branch) -> Tensor:
        """Project the latents [..., Z] of one branch to soft tokens [..., D].

        With n > 1 soft tokens for each latent, latents [..., K, Z] become soft tokens [..., n K, D].
        """
        p_SD: Tensor = self.networks["shared" if self.config.shared else branch](z_SZ)
        if (count := self.tokens(branch)) > 1:
            p_SD = p_SD.unflatten(-1, (count, self.width_out)).flatten(-3, -2)
        if self.config.scale_to_embedding:
            p_SD = F.normalize(p_SD, dim=-1) * self.embedding_norm
        return p_SD
