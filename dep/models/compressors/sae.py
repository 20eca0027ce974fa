"""The sparse autoencoder of the paper, with a reconstruction loss (Eq. 8) and a sparsity loss (Eq. 10)."""

from __future__ import annotations

from collections.abc import Mapping

from dep.models.compressors.ae import Autoencoder
from dep.models.compressors.base import Compressed, CompressorLosses, PerBranch
from dep.models.compressors.settings import SparseAutoencoderConfig
from dep.models.losses import activation_stats, mean_activations, sparsity_loss
from dep.types import Branch
from dep.utils.errors import DepError


class SparseAutoencoder(Autoencoder):
    """`sae`: an autoencoder with a loss (Eq. 10) that keeps the mean activation of each unit near ρ (the paper).

    To the loss of `ae` it adds Σ_j KL(ρ ‖ ρ̂_j) / d' for each branch, where ρ̂_j is unit j's mean activation
    and d' is the number of units.
    """

    def __init__(self, config: SparseAutoencoderConfig, width: int) -> None:
        """Create the encoder and the decoder.

        Args:
            config: ρ and the details of Eq. 9 and 10.
            width: E, the width of the embeddings.

        Raises:
            DepError: rho is not between eps and 1 - eps.
        """
        if not config.eps < config.rho < 1 - config.eps:
            raise DepError(
                "compressor.rho",
                f"a number between {config.eps} and {1 - config.eps}",
                str(config.rho),
                "0.05 is the paper's",
            )
        super().__init__(config, width)
        self.sparse = config

    def losses(self, vectors: PerBranch, out: Mapping[Branch, Compressed], present: PerBranch) -> CompressorLosses:
        """Return the reconstruction loss (Eq. 8), the sparsity loss (Eq. 10) and statistics of the activations.

        Args:
            vectors: the embeddings [B, K, E] of each branch.
            out: what `forward` returned for these embeddings.
            present: for each branch a mask [B, K]; embeddings where it is False are padding and ignored.
        """
        losses, _ = super().losses(vectors, out, present)
        c, latents = self.sparse, {b: c.latent for b, c in out.items()}
        means = mean_activations(latents, present, c.mean_over)
        losses["sparse"] = sparsity_loss(means, c.rho, c.eps, c.outside, like=latents)
        return CompressorLosses(losses, activation_stats(latents, present, means, c.eps))
