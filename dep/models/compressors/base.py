"""The interface of compressors, which map an embedding to a short latent vector (Eq. 5).

    z = f_enc(e),   ê = f_dec(z)

e -> e_SE (any leading shape)   z -> latent [..., Z]   ê -> reconstruction [..., E]

A branch is a kind of embedding: `his`, a review's own, or `diff`, its difference from peers (`dep.types.Branch`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from torch import Tensor

from dep.types import Branch

PerBranch = Mapping[Branch, Tensor]


class Compressed(NamedTuple):
    """What a compressor returns: latents [..., Z], and reconstructions [..., E] or None if it has no decoder."""

    latent: Tensor
    reconstruction: Tensor | None


class CompressorLosses(NamedTuple):
    """Scalars of a batch by name: `losses` (`recon`, `sparse`) enter Eq. 11, and `stats` are only logged."""

    losses: dict[str, Tensor]
    stats: dict[str, Tensor]


class Compressor(Protocol):
    """A module that compresses the embeddings of both branches; its constructor takes (config, width E)."""

    width_out: int
    """The width of the latents: Z, or E for a compressor that returns the embedding itself."""

    def __call__(self, e_SE: Tensor) -> Compressed:
        """Compress embeddings [..., E] to latents [..., Z], and reconstruct the embeddings if there is a decoder."""

    def losses(self, vectors: PerBranch, out: Mapping[Branch, Compressed], present: PerBranch) -> CompressorLosses:
        """Return the auxiliary losses of a batch.

        Args:
            vectors: the embeddings [B, K, E] of each branch.
            out: what the compressor returned for these embeddings.
            present: for each branch a mask [B, K]; embeddings where it is False are padding and ignored.
        """
