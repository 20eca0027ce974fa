"""The choice of no compression: the projector gets the embedding itself ("w/o DR" in Table 3)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from dep.models.compressors.base import Compressed, CompressorLosses, PerBranch
from dep.models.compressors.settings import NoCompressorConfig
from dep.types import Branch


class NoCompressor(nn.Module):
    """`none`: returns the embedding itself ("w/o DR" in Table 3)."""

    def __init__(self, config: NoCompressorConfig, width: int) -> None:
        """Store the width E of the embeddings, which is also the width of the latents."""
        super().__init__()
        self.config = config
        self.width_out = width

    def forward(self, e_SE: Tensor) -> Compressed:
        """Return the embedding itself, without a reconstruction."""
        return Compressed(e_SE, None)

    def losses(self, vectors: PerBranch, out: Mapping[Branch, Compressed], present: PerBranch) -> CompressorLosses:
        """Return no losses, since there is nothing to train."""
        return CompressorLosses({}, {})
