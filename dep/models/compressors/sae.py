"""`sae`: reconstruction, and a mean activation held near rho by Eq. 10 (the paper)."""

from __future__ import annotations

from collections.abc import Mapping

from dep.models.compressors.ae import Autoencoder
from dep.models.compressors.base import Compressed, CompressorLosses, PerBranch
from dep.models.compressors.settings import SparseAutoencoderConfig
from dep.models.losses import activation_stats, mean_activations, sparsity_loss
from dep.types import Branch
from dep.utils.errors import DepError


class SparseAutoencoder(Autoencoder):
    """`sae`: reconstruction and a mean activation held near rho (the paper)."""

    def __init__(self, config: SparseAutoencoderConfig, width: int) -> None:
        """Build for embeddings of `width` E.

        Raises:
            ValueError: where rho is not between eps and 1 - eps.
        """
        if not config.eps < config.rho < 1 - config.eps:
            raise DepError(f"compressor.rho must lie in ({config.eps}, {1 - config.eps}), found {config.rho}")
        super().__init__(config, width)
        self.sparse = config

    def losses(self, vectors: PerBranch, out: Mapping[Branch, Compressed], present: PerBranch) -> CompressorLosses:
        """Eq. 8 and 10 over the present vectors, with the activation's statistics."""
        losses, _ = super().losses(vectors, out, present)
        c, latents = self.sparse, {b: c.latent for b, c in out.items()}
        means = mean_activations(latents, present, c.mean_over)
        losses["sparse"] = sparsity_loss(means, c.rho, c.eps, c.outside, like=latents)
        return CompressorLosses(losses, activation_stats(latents, present, means, c.eps))
