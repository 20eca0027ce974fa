"""`ae`: reconstruction without a sparsity constraint (w/ AE of Table 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from dep.models.compressors.base import Compressed, CompressorLosses, PerBranch
from dep.models.compressors.settings import AutoencoderConfig, SparseAutoencoderConfig
from dep.models.initialization import initialise
from dep.models.losses import reconstruction_loss
from dep.types import Branch

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "gelu": nn.functional.gelu,
    "relu": torch.relu,
}


class Autoencoder(nn.Module):
    """`ae`: reconstruction without a sparsity constraint (w/ AE of Table 3)."""

    def __init__(self, config: AutoencoderConfig | SparseAutoencoderConfig, width: int) -> None:
        """Build for embeddings of `width` E."""
        super().__init__()
        self.config = config
        self.width_out = config.latent
        self.encoder = nn.Linear(width, config.latent, bias=config.bias)
        self.decoder = nn.Linear(config.latent, width, bias=config.bias)
        initialise(self, config.init)

    def forward(self, e_SE: Tensor) -> Compressed:
        """Encode and rebuild.

        Args:
            e_SE: embeddings [..., E].

        Returns:
            latent [..., Z] and reconstruction [..., E].
        """
        latent = ACTIVATIONS[self.config.activation](self.encoder(e_SE))
        return Compressed(latent, self.decoder(latent))

    def losses(self, vectors: PerBranch, out: Mapping[Branch, Compressed], present: PerBranch) -> CompressorLosses:
        """Eq. 8 over the present of `vectors` [B, K, E], `out` being what `forward` made of them."""
        rebuilt = {b: c.reconstruction for b, c in out.items() if c.reconstruction is not None}
        return CompressorLosses({"recon": reconstruction_loss(vectors, rebuilt, present)}, {})
