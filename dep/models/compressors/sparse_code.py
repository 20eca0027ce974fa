"""The base of autoencoders with a sparse code, whose losses and statistics are computed in one place."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dep.models.compressors.ae import Autoencoder
from dep.models.compressors.base import Compressed, CompressorLosses, PerBranch
from dep.models.compressors.code_stats import code_stats
from dep.types import Branch


class SparseCodeAutoencoder(Autoencoder):
    """An autoencoder that also returns statistics of its code, and a sparsity loss if `sparsity` returns one."""

    def sparsity(self, z_NZ: Tensor) -> Tensor | None:
        """Return the sparsity loss of a branch's N latents, a scalar; None for an autoencoder without such a loss.

        `losses` asks only for branches with vectors, and takes zero if there are none.
        """
        return None

    def losses(self, vectors: PerBranch, out: Mapping[Branch, Compressed], present: PerBranch) -> CompressorLosses:
        """Return the reconstruction loss (Eq. 8), the sparsity loss summed over branches, and statistics of the code.

        Args:
            vectors: the embeddings [B, K, E] of each branch.
            out: what `forward` returned for these embeddings.
            present: for each branch a mask [B, K]; embeddings where it is False are padding and ignored.
        """
        losses, _ = super().losses(vectors, out, present)
        if type(self).sparsity is not SparseCodeAutoencoder.sparsity:
            of_branches = (self.sparsity(out[b].latent[here]) for b, here in present.items() if bool(here.any()))
            terms = [term for term in of_branches if term is not None]
            losses["sparse"] = torch.stack(terms).sum() if terms else self.decoder.weight.new_zeros(())
        return CompressorLosses(losses, code_stats(vectors, out, present))
