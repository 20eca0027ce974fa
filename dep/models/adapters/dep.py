"""Where soft tokens come from: the user's vectors (DEP), or a table that is the same for everybody (a control)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dep.models.compressors.base import Compressed, Compressor
from dep.models.projector import Projector
from dep.types import Batch, Branch
from dep.utils.errors import DepError

Statistics = Mapping[Branch, tuple[Tensor, Tensor]]
"""Mean and standard deviation [E] of each branch's vectors."""


class SoftTokens(NamedTuple):
    """What a source makes of a batch: vectors [B, K, D] per branch, losses of Eq. 11, statistics."""

    vectors: dict[Branch, Tensor]
    losses: dict[str, Tensor]
    stats: dict[str, Tensor]


class DEPAdapter(nn.Module):
    """`user`: soft tokens from the user's own vectors (the paper)."""

    def __init__(self, compressor: Compressor, projector: Projector, statistics: Statistics | None = None) -> None:
        """Chain the two.

        Args:
            compressor: e -> z, ê.
            projector: z -> p.
            statistics: mean and standard deviation [E] of each branch's training vectors, where the compressor is to
                see standardised ones; Eq. 8 still compares the vectors themselves.
        """
        super().__init__()
        self.compressor = compressor
        self.projector = projector
        for branch, (mean_E, std_E) in (statistics or {}).items():
            self.register_buffer(f"{branch}_mean", mean_E.float())
            self.register_buffer(f"{branch}_std", std_E.float())

    def _compress(self, v_BKE: Tensor, noise_BKE: Tensor | float, branch: Branch) -> Compressed:
        """Latents of a branch's vectors; its rebuilt vectors are in the vectors' own units again."""
        mean_E = getattr(self, f"{branch}_mean", None)
        if mean_E is None:
            return self.compressor(v_BKE + noise_BKE)
        std_E = getattr(self, f"{branch}_std")
        latent, rebuilt = self.compressor((v_BKE - mean_E) / std_E + noise_BKE)
        return Compressed(latent, None if rebuilt is None else rebuilt * std_E + mean_E)

    def forward(self, batch: Batch) -> SoftTokens:
        """Compress and project every vector of the batch; absent ones are zeroed and enter no loss."""
        like = next(self.parameters())
        vectors = {
            branch: v_BKE.to(like).masked_fill(~batch.present[branch][..., None], 0.0)
            for branch, v_BKE in batch.vectors.items()
        }
        noise = {branch: noise_BKE.to(like) for branch, noise_BKE in batch.noise.items()}
        compressed = {branch: self._compress(v, noise.get(branch, 0.0), branch) for branch, v in vectors.items()}
        losses, stats = self.compressor.losses(vectors, compressed, batch.present)
        soft = {branch: self.projector(c.latent, branch) for branch, c in compressed.items()}
        return SoftTokens(soft, losses, stats)


class ConstantAdapter(nn.Module):
    """`constant`: one trained token for each slot index and branch, the same for every user.

    The control for what tuning a soft prompt brings without knowing the user: as many soft tokens, no vector
    read.
    """

    def __init__(self, branches: list[Branch], slots: int, width: int, embedding_norm: float) -> None:
        """Tables [slots, D] that start at random, with rows as long as the LLM's embeddings."""
        super().__init__()
        self.tables = nn.ParameterDict(
            {branch: nn.Parameter(torch.randn(slots, width) * embedding_norm / width**0.5) for branch in branches}
        )

    def forward(self, batch: Batch) -> SoftTokens:
        """Look up each vector's slot index.

        Raises:
            ValueError: where the batch has a slot index that the table has no row for.
        """
        soft: dict[Branch, Tensor] = {}
        for branch, index_BK in batch.slot_index.items():
            table = self.tables[branch]
            if index_BK.numel() and int(index_BK.max()) >= len(table):
                raise DepError(
                    f"soft_prompt.slots: expected at least {int(index_BK.max()) + 1} (the batch's highest slot "
                    f"index and one), found {len(table)}; raise it to the prompt's history"
                )
            soft[branch] = table[index_BK]
        return SoftTokens(soft, {}, {})
