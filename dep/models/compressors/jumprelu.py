"""The autoencoder whose units have learned thresholds (Rajamanoharan et al. 2024, arXiv:2407.14435)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from dep.models.compressors.settings import JumpReLUConfig
from dep.models.compressors.sparse_code import SparseCodeAutoencoder
from dep.utils.errors import DepError


class JumpReLUAutoencoder(SparseCodeAutoencoder):
    """`jumprelu`: an autoencoder whose unit j is zero up to its threshold θ_j > 0, with a loss on the active units.

        z_j = a_j if a_j > θ_j else 0,   a = relu(W_enc e + b_enc),   ê = W_dec z + b_dec
        L_sparse = Σ_branches mean over vectors of 1/d' |{j: z_j > 0}|

    d' is the number of units. Both are flat in θ almost everywhere, so that its gradients are estimates from the values
    in a window of width ε above the threshold:

        ∂z_j/∂θ_j = -θ_j/ε [θ_j < a_j < θ_j + ε],   ∂L_sparse/∂θ_j = -1/(ε d') mean over vectors of the same [..]

    The paper's window is centred on the threshold. Here it is above, since the losses see the latents and not a. The
    trained parameter is log θ. The loss takes the place of Eq. 10 in Eq. 11.
    """

    def __init__(self, config: JumpReLUConfig, width: int) -> None:
        """Create the encoder, the decoder and the thresholds.

        Args:
            config: the first thresholds, ε, and the settings of `ae`.
            width: E, the width of the embeddings.

        Raises:
            DepError: the threshold or ε is not above 0.
        """
        for name in ("threshold", "bandwidth"):
            if getattr(config, name) <= 0:
                raise DepError(f"compressor.{name}", "a number above 0", str(getattr(config, name)))
        super().__init__(config, width)
        self.bandwidth = config.bandwidth
        self.log_threshold = nn.Parameter(torch.full((config.latent,), math.log(config.threshold)))

    def activate(self, pre_SZ: Tensor) -> Tensor:
        """Return the latents [..., Z] of the encoder's outputs [..., Z]."""
        result: Tensor = _Jump.apply(torch.relu(pre_SZ), self.log_threshold.exp().to(pre_SZ.dtype), self.bandwidth)
        return result

    def sparsity(self, z_NZ: Tensor) -> Tensor:
        """Return the share of active units; only the thresholds get a gradient."""
        active_NZ: Tensor = _Active.apply(z_NZ.detach().float(), self.log_threshold.exp(), self.bandwidth)
        return active_NZ.mean()


def _window(value_NZ: Tensor, theta_Z: Tensor, bandwidth: float) -> Tensor:
    return ((value_NZ > theta_Z) & (value_NZ < theta_Z + bandwidth)).to(value_NZ.dtype)


class _Jump(torch.autograd.Function):
    """Sets values up to the threshold to zero; the threshold's gradient is estimated."""

    @staticmethod
    def forward(ctx: Any, a_SZ: Tensor, theta_Z: Tensor, bandwidth: float) -> Tensor:
        ctx.save_for_backward(a_SZ, theta_Z)
        ctx.bandwidth = bandwidth
        return a_SZ * (a_SZ > theta_Z)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        a_SZ, theta_Z = ctx.saved_tensors
        (g_SZ,) = gradients
        of_theta_SZ = -theta_Z / ctx.bandwidth * _window(a_SZ, theta_Z, ctx.bandwidth) * g_SZ
        return g_SZ * (a_SZ > theta_Z), of_theta_SZ.flatten(0, -2).sum(0), None


class _Active(torch.autograd.Function):
    """Returns 1 for each active unit and else 0; the threshold's gradient is estimated."""

    @staticmethod
    def forward(ctx: Any, z_NZ: Tensor, theta_Z: Tensor, bandwidth: float) -> Tensor:
        ctx.save_for_backward(z_NZ, theta_Z)
        ctx.bandwidth = bandwidth
        return (z_NZ > 0).to(z_NZ.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, None]:
        z_NZ, theta_Z = ctx.saved_tensors
        (g_NZ,) = gradients
        return None, (-_window(z_NZ, theta_Z, ctx.bandwidth) / ctx.bandwidth * g_NZ).sum(0), None
