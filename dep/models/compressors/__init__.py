"""Compressors map an embedding to a short latent vector (Eq. 5); each has a file here.

`COMPRESSORS.build(config, width)` builds the compressor that a configuration names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dep.models.compressors.settings import (
    AutoencoderConfig,
    JumpReLUConfig,
    L1Config,
    NoCompressorConfig,
    SparseAutoencoderConfig,
    TopKConfig,
)
from dep.utils.registry import Registry

if TYPE_CHECKING:
    from dep.models.compressors.base import Compressor

COMPRESSORS: Registry[Compressor] = Registry("compressor", default="sae")
COMPRESSORS.add(SparseAutoencoderConfig, "dep.models.compressors.sae:SparseAutoencoder")
COMPRESSORS.add(AutoencoderConfig, "dep.models.compressors.ae:Autoencoder")
COMPRESSORS.add(TopKConfig, "dep.models.compressors.topk:TopKAutoencoder")
COMPRESSORS.add(JumpReLUConfig, "dep.models.compressors.jumprelu:JumpReLUAutoencoder")
COMPRESSORS.add(L1Config, "dep.models.compressors.l1:L1Autoencoder")
COMPRESSORS.add(NoCompressorConfig, "dep.models.compressors.none:NoCompressor")
