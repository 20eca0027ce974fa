"""What every compressor is: Eq. 5, from an embedding to a short latent vector.

    z = f_enc(e),   ê = f_dec(z)

e -> e_SE (any leading shape)   z -> latent [..., Z]   ê -> reconstruction [..., E]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from torch import Tensor

from dep.types import Branch

PerBranch = Mapping[Branch, Tensor]


class Compressed(NamedTuple):
    """What a compressor returns: latent [..., Z] and, where it has a decoder, reconstruction [..., E]."""

    latent: Tensor
    reconstruction: Tensor | None


class CompressorLosses(NamedTuple):
    """`losses` enter Eq. 11 (keys recon, sparse), `stats` are only watched."""

    losses: dict[str, Tensor]
    stats: dict[str, Tensor]


class Compressor(Protocol):
    """A module that compresses; one serves both branches. It is built with its settings and the width E."""

    width_out: int
    """Z, or E for one that passes the embedding on."""

    def __call__(self, e_SE: Tensor) -> Compressed:
        """Latents [..., Z] of embeddings [..., E] and, where there is a decoder, their reconstruction."""

    def losses(self, vectors: PerBranch, out: Mapping[Branch, Compressed], present: PerBranch) -> CompressorLosses:
        """Losses over the present of `vectors` [B, K, E], `out` being what `forward` made of them."""
