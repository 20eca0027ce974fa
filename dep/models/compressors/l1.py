"""The autoencoder with an L1 loss on its activations."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from dep.models.compressors.ae import Autoencoder
from dep.models.compressors.base import Compressed, CompressorLosses, PerBranch
from dep.models.compressors.code_stats import code_stats
from dep.types import Branch


class L1Autoencoder(Autoencoder):
    """`l1`: an autoencoder with a loss on the sum of its activations.

        z = relu(W_enc e + b_enc),   ê = W_dec z + b_dec
        L_sparse = Σ_branches mean over vectors of 1/d' Σ_j z_j ‖w_j‖

    w_j is column j of W_dec, and d' the number of units. Without its length, the loss would fall by small activations
    and large columns, which make nothing sparse. The loss takes the place of Eq. 10 in Eq. 11.
    """

    def losses(self, vectors: PerBranch, out: Mapping[Branch, Compressed], present: PerBranch) -> CompressorLosses:
        """Return the reconstruction loss (Eq. 8), the sparsity loss and statistics of the code.

        Args:
            vectors: the embeddings [B, K, E] of each branch.
            out: what `forward` returned for these embeddings.
            present: for each branch a mask [B, K]; embeddings where it is False are padding and ignored.
        """
        losses, _ = super().losses(vectors, out, present)
        length_Z = self.decoder.weight.norm(dim=0)
        terms = [(out[b].latent[here].float() * length_Z).mean() for b, here in present.items() if bool(here.any())]
        losses["sparse"] = torch.stack(terms).sum() if terms else length_Z.new_zeros(())
        return CompressorLosses(losses, code_stats(vectors, out, present))
