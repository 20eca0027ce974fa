"""The compressor protocol: Eq. 5, from an embedding to a short latent vector.

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
    """Output of a compressor: latent [..., Z], and reconstruction [..., E] or None if it has no decoder."""

    latent: Tensor
    reconstruction: Tensor | None


class CompressorLosses(NamedTuple):
    """Scalars of one batch by name: `losses` enter Eq. 11 (`recon`, `sparse`), `stats` are only logged."""

    losses: dict[str, Tensor]
    stats: dict[str, Tensor]


class Compressor(Protocol):
    """A module that compresses embeddings; both branches use the same one. Its constructor takes (config, width E)."""

    width_out: int
    """Width of the latents: Z, or E for a compressor that returns the embedding itself."""

    def __call__(self, e_SE: Tensor) -> Compressed:
        """Compress embeddings [..., E] to latents [..., Z]; a compressor with a decoder also reconstructs them."""

    def losses(self, vectors: PerBranch, out: Mapping[Branch, Compressed], present: PerBranch) -> CompressorLosses:
        """Auxiliary losses of a batch.

        Args:
            vectors: embeddings [B, K, E] of each branch.
            out: what the compressor returned for them.
            present: [B, K] bool of each branch: which embeddings are real. The others are ignored.
        """
