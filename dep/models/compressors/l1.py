"""The autoencoder with an L1 loss on its activations."""

from __future__ import annotations

from torch import Tensor

from dep.models.compressors.sparse_code import SparseCodeAutoencoder


class L1Autoencoder(SparseCodeAutoencoder):
    """`l1`: an autoencoder with a loss on the sum of its activations.

        z = relu(W_enc e + b_enc),   ê = W_dec z + b_dec
        L_sparse = Σ_branches mean over vectors of 1/d' Σ_j z_j ‖w_j‖

    w_j is column j of W_dec, and d' the number of units. Without its length, the loss would fall by small activations
    and large columns, which make nothing sparse. The loss takes the place of Eq. 10 in Eq. 11.
    """

    def sparsity(self, z_NZ: Tensor) -> Tensor:
        """Return the mean of z_j ‖w_j‖ over vectors and units."""
        return (z_NZ.float() * self.decoder.weight.norm(dim=0)).mean()
