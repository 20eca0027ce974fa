"""Eq. 5: distils an embedding into a short latent vector. One compressor serves both branches.

    z = f_enc(e),   ê = f_dec(z)

e -> e_SE (any leading shape)   z -> latent [..., Z]   ê -> reconstruction [..., E]
f_enc -> encoder, one linear layer and an activation   f_dec -> decoder, one linear layer

`sae` adds the sparsity loss of Eq. 10, `ae` has reconstruction alone, `none` passes the embedding on (Table
3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from dep.models.initialization import Init, initialise
from dep.models.losses import (
    MeanOver,
    Outside,
    PerBranch,
    activation_stats,
    mean_activations,
    reconstruction_loss,
    sparsity_loss,
)
from dep.types import Branch

Activation = Literal["sigmoid", "gelu", "relu"]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "gelu": nn.functional.gelu,
    "relu": torch.relu,
}


class Compressed(NamedTuple):
    """What a compressor returns: latent [..., Z] and, where it has a decoder, reconstruction [..., E]."""

    latent: Tensor
    reconstruction: Tensor | None


class CompressorLosses(NamedTuple):
    """`losses` enter Eq. 11 (keys recon, sparse), `stats` are only watched."""

    losses: dict[str, Tensor]
    stats: dict[str, Tensor]


class Autoencoder(nn.Module):
    """`ae`: reconstruction without a sparsity constraint (w/ AE of Table 3)."""

    @dataclass
    class Config:
        """The autoencoder's settings."""

        latent: int = 512
        """Width d' of the latent vector, in units."""
        bias: bool = True
        """Whether encoder and decoder have a bias."""
        activation: Activation = "sigmoid"
        """After the encoder. `sigmoid` keeps every mean activation inside (0, 1), where Eq. 10 is defined, but
        starts near 0.5 everywhere: soft tokens of unrelated users begin with a cosine of 0.9995, against 0.0 with
        `gelu` (the paper's public code) and 0.3 with `relu`, and a small learning rate may not part them."""
        init: Init = "xavier"
        """`xavier` (the paper) or torch's `default` (its public code)."""

    def __init__(self, config: Config, width: int) -> None:
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


class SparseAutoencoder(Autoencoder):
    """`sae`: reconstruction and a mean activation held near rho (the paper)."""

    @dataclass
    class Config(Autoencoder.Config):
        """The sparse autoencoder's settings."""

        rho: float = 0.05
        """ρ of Eq. 10: target mean activation of a unit, in (0, 1)."""
        mean_over: MeanOver = "batch"
        """What the mean of Eq. 9 runs over: the `batch` on the device (not the accumulated one), each
        `example`, or each example with its branches `mixed` (the paper's public code)."""
        outside: Outside = "linear"
        """Where a mean leaves [eps, 1-eps]: continue the KL by its tangent, or clamp `hard` and lose the
        gradient (the paper's public code)."""
        eps: float = 1e-6
        """Distance of the clamp from 0 and 1."""

    def __init__(self, config: Config, width: int) -> None:
        """Build for embeddings of `width` E.

        Raises:
            ValueError: where rho is not between eps and 1 - eps.
        """
        if not config.eps < config.rho < 1 - config.eps:
            raise ValueError(f"compressor.rho must lie in ({config.eps}, {1 - config.eps}), found {config.rho}")
        super().__init__(config, width)
        self.sparse = config

    def losses(self, vectors: PerBranch, out: Mapping[Branch, Compressed], present: PerBranch) -> CompressorLosses:
        """Eq. 8 and 10 over the present vectors, with the activation's statistics."""
        losses, _ = super().losses(vectors, out, present)
        c, latents = self.sparse, {b: c.latent for b, c in out.items()}
        means = mean_activations(latents, present, c.mean_over)
        losses["sparse"] = sparsity_loss(means, c.rho, c.eps, c.outside, like=latents)
        return CompressorLosses(losses, activation_stats(latents, present, means, c.eps))


class NoCompressor(nn.Module):
    """`none`: the raw embedding goes to the projector (w/o DR of Table 3)."""

    @dataclass
    class Config:
        """Nothing to set."""

    def __init__(self, config: Config, width: int) -> None:
        """Build for embeddings of `width` E."""
        super().__init__()
        self.config = config
        self.width_out = width

    def forward(self, e_SE: Tensor) -> Compressed:
        """The embedding itself, without a reconstruction."""
        return Compressed(e_SE, None)

    def losses(self, vectors: PerBranch, out: Mapping[Branch, Compressed], present: PerBranch) -> CompressorLosses:
        """No losses."""
        return CompressorLosses({}, {})


Compressor = Autoencoder | NoCompressor
CompressorConfig = Autoencoder.Config | NoCompressor.Config
COMPRESSORS: dict[str, type[Autoencoder] | type[NoCompressor]] = {
    "sae": SparseAutoencoder,
    "ae": Autoencoder,
    "none": NoCompressor,
}
"""Name in a configuration -> class; each has a `Config`."""


def build_compressor(config: CompressorConfig, width: int) -> Compressor:
    """The compressor whose Config this is, for embeddings of `width` E."""
    chosen = next(c for c in COMPRESSORS.values() if c.Config is type(config))
    return chosen(config, width)  # type: ignore[arg-type]
