"""The autoencoder that keeps the k largest activations of each vector (Gao et al. 2024, arXiv:2406.04093)."""

from __future__ import annotations

import torch
from torch import Tensor

from dep.models.compressors.settings import TopKConfig
from dep.models.compressors.sparse_code import SparseCodeAutoencoder
from dep.utils.errors import DepError


class TopKAutoencoder(SparseCodeAutoencoder):
    """`topk`: an autoencoder in which at most k units are active for a vector.

        z = TopK(relu(W_enc e + b_enc)),   ê = W_dec z + b_dec

    TopK keeps the k largest components and sets the others to zero. The only loss is that of `ae`.
    """

    def __init__(self, config: TopKConfig, width: int) -> None:
        """Create the encoder and the decoder.

        Args:
            config: k and the settings of `ae`.
            width: E, the width of the embeddings.

        Raises:
            DepError: k is not between 1 and the number of units.
        """
        if not 1 <= config.k <= config.latent:
            raise DepError("compressor.k", f"a number from 1 to compressor.latent ({config.latent})", str(config.k))
        super().__init__(config, width)
        self.k = config.k

    def activate(self, pre_SZ: Tensor) -> Tensor:
        """Return the latents [..., Z] of the encoder's outputs [..., Z]."""
        active_SZ = torch.relu(pre_SZ)
        largest = active_SZ.topk(self.k, dim=-1)
        return torch.zeros_like(active_SZ).scatter(-1, largest.indices, largest.values)
