"""DEP's adapter: compressor (Eq. 5) and projector (Eq. 6), applied to the user's vectors."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from dep.models.adapters.base import Adapter, AdapterParts, SoftTokens, Statistics
from dep.models.compressors import COMPRESSORS
from dep.models.compressors.base import Compressed, Compressor
from dep.models.projector import Projector
from dep.models.standardizer import Standardizer
from dep.types import Batch, Branch


class DEPAdapter(Adapter):
    """`dep`: soft tokens from the user's own vectors and their differences (the paper)."""

    def __init__(self, compressor: Compressor, projector: Projector, statistics: Statistics | None = None) -> None:
        """Combine compressor and projector.

        Args:
            compressor: e [..., E] -> latent z [..., Z] and reconstruction ê [..., E].
            projector: z [..., Z] -> p [..., D].
            statistics: mean and standard deviation [E] of each branch's training vectors, to standardise the
                compressor's input; None to leave it. Eq. 8 compares unstandardised vectors in both cases.
        """
        super().__init__()
        self.compressor = compressor
        self.projector = projector
        self.standardizers = nn.ModuleDict({branch: Standardizer(*pair) for branch, pair in (statistics or {}).items()})

    @classmethod
    def from_parts(cls, parts: AdapterParts) -> DEPAdapter:
        """Build compressor and projector from their settings."""
        compressor = COMPRESSORS.build(parts.compressor, parts.width)
        projector = Projector(parts.projector, compressor.width_out, parts.llm_width, parts.branches, parts.norm)
        return cls(compressor, projector, parts.statistics)

    @property
    def loss_weights(self) -> Mapping[str, float]:
        """Weights of the compressor's own losses."""
        weights: Mapping[str, float] = getattr(self.compressor, "loss_weights", {})
        return weights

    def _compress(self, v_BKE: Tensor, noise_BKE: Tensor | float, branch: Branch) -> Compressed:
        """Compress a branch's vectors [B, K, E]; the reconstruction is converted back to the vectors' units."""
        if branch not in self.standardizers:
            return self.compressor(v_BKE + noise_BKE)
        standardizer = self.standardizers[branch]
        assert isinstance(standardizer, Standardizer)
        latent, rebuilt = self.compressor(standardizer(v_BKE) + noise_BKE)
        return Compressed(latent, None if rebuilt is None else standardizer.undo(rebuilt))

    def forward(self, batch: Batch) -> SoftTokens:
        """Make soft tokens [B, K, D] of every branch; absent vectors are set to zero and enter no loss."""
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
