"""The plain autoencoder, which has no sparsity constraint ("w/ AE" in Table 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from dep.models.compressors.base import Compressed, CompressorLosses, PerBranch
from dep.models.compressors.settings import (
    AutoencoderConfig,
    JumpReLUConfig,
    L1Config,
    SparseAutoencoderConfig,
    TopKConfig,
)
from dep.models.initialization import initialise
from dep.models.losses import reconstruction_loss
from dep.types import Branch

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "gelu": nn.functional.gelu,
    "relu": torch.relu,
}
AnyAutoencoderConfig = AutoencoderConfig | SparseAutoencoderConfig | TopKConfig | JumpReLUConfig | L1Config
DECODER_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"none": nn.Identity(), "gelu": nn.functional.gelu}


class Autoencoder(nn.Module):
    """`ae`: an autoencoder that is trained only to reconstruct its input ("w/ AE" in Table 3).

        z = activation(W_enc e + b_enc),   ê = decoder_activation(W_dec z + b_dec)            (5)

    e -> e_SE   z -> latent [..., Z]   ê -> reconstruction [..., E]
    """

    def __init__(self, config: AnyAutoencoderConfig, width: int) -> None:
        """Create the encoder and the decoder.

        Args:
            config: the latent width Z, the activations and the initial weights.
            width: E, the width of the embeddings.
        """
        super().__init__()
        self.config = config
        self.width_out = config.latent
        self.encoder = nn.Linear(width, config.latent, bias=config.bias)
        self.decoder = nn.Linear(config.latent, width, bias=config.bias)
        initialise(self, config.init)

    def forward(self, e_SE: Tensor) -> Compressed:
        """Encode the embeddings and reconstruct them from their latents.

        Args:
            e_SE: embeddings [..., E].

        Returns:
            The latents [..., Z] and the reconstructions [..., E], in the dtype of `e_SE`.
        """
        e = e_SE.bfloat16() if self.config.dtype == "bfloat16" else e_SE
        latent = self.activate(_linear(self.encoder, e))
        rebuilt = DECODER_ACTIVATIONS[self.config.decoder_activation](_linear(self.decoder, latent))
        return Compressed(latent.to(e_SE.dtype), rebuilt.to(e_SE.dtype))

    def activate(self, pre_SZ: Tensor) -> Tensor:
        """Return the latents [..., Z] of the encoder's outputs [..., Z]."""
        return ACTIVATIONS[self.config.activation](pre_SZ)

    def losses(self, vectors: PerBranch, out: Mapping[Branch, Compressed], present: PerBranch) -> CompressorLosses:
        """Return the reconstruction loss (Eq. 8).

        Args:
            vectors: the embeddings [B, K, E] of each branch.
            out: what `forward` returned for these embeddings.
            present: for each branch a mask [B, K]; embeddings where it is False are padding and ignored.
        """
        reconstructions = {b: c.reconstruction for b, c in out.items() if c.reconstruction is not None}
        return CompressorLosses(
            {"recon": reconstruction_loss(vectors, reconstructions, present, self.config.recon_over)}, {}
        )


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """Apply the layer in the precision of `x`; its weights keep theirs."""
    if x.dtype == layer.weight.dtype:
        return cast(Tensor, layer(x))
    bias = None if layer.bias is None else layer.bias.to(x.dtype)
    return nn.functional.linear(x, layer.weight.to(x.dtype), bias)
