"""The projector (Eq. 6), which maps a latent vector to the LLM's input space.

    p_his = M_p(z_his),   p_diff = M_p(z_diff)

z -> z_SZ (any leading shape)   p -> p_SD   M_p -> two linear layers with a GELU between

With `tokens: n` the last layer gives n soft tokens for each latent: z_BKZ -> p_BND, where the n soft tokens of a latent
stand side by side and N = n K. The branch `user` keeps one for each latent.

With `start: words` a soft token is w_j + p, where w_j is the frozen embedding of a word (j counts the soft tokens of a
latent, or those of the branch `user`) and p is zero before training.

Eq. 6 has one M_p for both branches, but Appendix C speaks of "two independent projection networks". The public code
reports 30.4 M trainable parameters (0.4% of 7.6 B), which fits two networks with a hidden layer as wide as the LLM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dep.models.initialization import initialise
from dep.models.settings import ProjectorConfig
from dep.models.start_words import in_turn
from dep.types import Branch
from dep.utils.errors import DepError


class Projector(nn.Module):
    """A two-layer network for each branch, or one network that all branches share."""

    def __init__(
        self,
        config: ProjectorConfig,
        width_in: int,
        width_out: int,
        branches: Sequence[Branch],
        embedding_norm: float,
        words: Mapping[Branch, Tensor] | None = None,
    ) -> None:
        """Create the networks.

        Args:
            config: the hidden width, the initial weights, and whether branches share a network.
            width_in: the width of the latents: Z, or E without a compressor.
            width_out: D, the width of the LLM.
            branches: the branches to project.
            embedding_norm: the mean norm of the LLM's token embeddings, which `scale_to_embedding` needs.
            words: for each branch the embeddings [W, D] of its words, which `start: words` needs.

        Raises:
            DepError: `start` is `words`, but a branch has no words.
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
        if config.start == "words":
            self._start_from(words or {}, branches)

    def _start_from(self, words: Mapping[Branch, Tensor], branches: Sequence[Branch]) -> None:
        """Keep the embeddings of each branch's words, and set the networks' last layers to zero."""
        if missing := sorted(set(branches) - set(words)):
            raise DepError(
                "projector.start=words", f"words of {missing}", "none",
                "pass AdapterParts.words to Projector, or set projector.start=random",
            )  # fmt: skip
        for branch in branches:
            self.register_buffer(f"words_{branch}", words[branch].clone())
        for network in self.networks.values():
            nn.init.zeros_(network[-1].weight)  # type: ignore[index]
            nn.init.zeros_(network[-1].bias)  # type: ignore[index]

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
        if self.config.start == "words":
            tokens = p_SD.shape[-2]
            in_a_row = tokens if branch == "user" else self.tokens(branch)
            p_SD = p_SD + in_turn(self.get_buffer(f"words_{branch}"), in_a_row).repeat(tokens // in_a_row, 1)
        return p_SD
