"""The adapter of DEP, which applies a compressor (Eq. 5) and a projector (Eq. 6) to the user's vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from dep.models.adapters.base import Adapter, AdapterParts, SoftTokens, Statistics
from dep.models.compressors import COMPRESSORS
from dep.models.compressors.base import Compressed, Compressor
from dep.models.projector import Projector
from dep.models.standardizer import Standardizer
from dep.types import Batch, Branch


class DEPAdapter(Adapter):
    """`dep`: computes soft tokens from the vectors of the user's reviews and from their differences (the paper)."""

    def __init__(
        self,
        compressor: Compressor,
        projector: Projector,
        statistics: Statistics | None = None,
        losses_see: Literal["shown", "all"] = "shown",
    ) -> None:
        """Combine a compressor and a projector.

        Args:
            compressor: maps e [..., E] to a latent z [..., Z] and a reconstruction ê [..., E].
            projector: maps z [..., Z] to soft tokens p [..., D].
            statistics: mean and standard deviation [E] of each branch's training vectors, with which the compressor's
                input is standardised; None for no standardisation. Eq. 8 compares unstandardised vectors in both cases.
            losses_see: see `SoftPromptConfig.losses_see`.
        """
        super().__init__()
        self.compressor = compressor
        self.projector = projector
        self.losses_see = losses_see
        self.standardizers = nn.ModuleDict({branch: Standardizer(*pair) for branch, pair in (statistics or {}).items()})

    @classmethod
    def from_parts(cls, parts: AdapterParts) -> DEPAdapter:
        """Build the adapter from the settings of compressor and projector."""
        compressor = COMPRESSORS.build(parts.compressor, parts.width)
        width = compressor.width_out
        projector = parts.new_projector(width)
        return cls(compressor, projector, parts.statistics, parts.soft_prompt.losses_see)

    @property
    def loss_weights(self) -> Mapping[str, float]:
        """The weights of the compressor's own auxiliary losses."""
        weights: Mapping[str, float] = getattr(self.compressor, "loss_weights", {})
        return weights

    def _compress(self, v_BKE: Tensor, noise_BKE: Tensor | float, branch: Branch) -> Compressed:
        """Compress a branch's vectors [B, K, E]; standardisation is undone in the reconstruction."""
        if branch not in self.standardizers:
            return self.compressor(v_BKE + noise_BKE)
        standardizer = self.standardizers[branch]
        assert isinstance(standardizer, Standardizer)
        latent, rebuilt = self.compressor(standardizer(v_BKE) + noise_BKE)
        return Compressed(latent, None if rebuilt is None else standardizer.undo(rebuilt))

    def latents(self, v_NE: Tensor, branch: Branch) -> Tensor:
        """Return the latents [N, Z] of a branch's vectors [N, E]."""
        like = next(self.parameters())
        return self._compress(v_NE.to(like)[None], 0.0, branch).latent[0]

    def _seen_by_losses(
        self, batch: Batch, vectors: dict[Branch, Tensor], compressed: dict[Branch, Compressed]
    ) -> tuple[dict[Branch, Tensor], dict[Branch, Compressed], dict[Branch, Tensor]]:
        """Return the vectors that the losses see, what the compressor made of them, and their mask."""
        present = {branch: batch.present[branch] for branch in vectors}
        if self.losses_see == "shown":
            return vectors, compressed, present
        vectors, compressed, like = dict(vectors), dict(compressed), next(self.parameters())
        for branch, cut_BKE in batch.cut_vectors.items():
            here_BK = batch.cut_present[branch]
            v_BKE = cut_BKE.to(like).masked_fill(~here_BK[..., None], 0.0)
            out = self._compress(v_BKE, 0.0, branch)
            if branch in vectors:
                shown = compressed[branch]
                v_BKE, here_BK = torch.cat([vectors[branch], v_BKE], 1), torch.cat([present[branch], here_BK], 1)
                rebuilt = out.reconstruction
                if rebuilt is not None and shown.reconstruction is not None:
                    rebuilt = torch.cat([shown.reconstruction, rebuilt], 1)
                out = Compressed(torch.cat([shown.latent, out.latent], 1), rebuilt)
            vectors[branch], compressed[branch], present[branch] = v_BKE, out, here_BK
        return vectors, compressed, present

    def forward(self, batch: Batch) -> SoftTokens:
        """Compute the soft tokens [B, K, D] of every branch; absent vectors are set to zero and enter no loss."""
        like = next(self.parameters())
        vectors = {
            branch: v_BKE.to(like).masked_fill(~batch.present[branch][..., None], 0.0)
            for branch, v_BKE in batch.vectors.items()
        }
        noise = {branch: noise_BKE.to(like) for branch, noise_BKE in batch.noise.items()}
        compressed = {branch: self._compress(v, noise.get(branch, 0.0), branch) for branch, v in vectors.items()}
        losses, stats = self.compressor.losses(*self._seen_by_losses(batch, vectors, compressed))
        soft = {branch: self.projector(c.latent, branch) for branch, c in compressed.items()}
        return SoftTokens(soft, losses, stats)
