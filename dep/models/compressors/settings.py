"""Settings of the compressors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dep.models.settings import Init
from dep.utils.registry import ComponentConfig

Activation = Literal["sigmoid", "gelu", "relu"]
MeanOver = Literal["batch", "example", "mixed"]
DecoderActivation = Literal["none", "gelu"]
ReconOver = Literal["branch", "mixed"]
Outside = Literal["linear", "hard"]
Precision = Literal["float32", "bfloat16"]


@dataclass(kw_only=True)
class _AutoencoderFields(ComponentConfig):
    """Settings that the plain and the sparse autoencoder share."""

    latent: int = 512
    """d', the width of the latent vector."""
    bias: bool = True
    """Whether the encoder and the decoder have a bias."""
    activation: Activation = "sigmoid"
    """Activation after the encoder. With `sigmoid` every mean activation is inside (0, 1), where Eq. 10 is defined. But
    all units then start near 0.5: before training, the soft tokens of unrelated users have a cosine of 0.9995, and a
    small learning rate may not separate them. The cosine is 0.0 with `gelu` (the public code) and 0.3 with `relu`."""
    decoder_activation: DecoderActivation = "none"
    """Activation after the decoder: `none` (Eq. 5), or `gelu` (the public code), which cannot reconstruct components
    below -0.17."""
    recon_over: ReconOver = "branch"
    """What Eq. 8 averages over. `branch`: the vectors of each branch, and the two means are added (the paper). `mixed`:
    the vectors of both branches of an example together (the public code); the loss is then half as large if every
    review has a difference."""
    init: Init = "xavier"
    """Initial weights. `xavier`: the paper's. `normal`: N(0, 0.02) and zero biases (the public code). `default`:
    torch's."""
    dtype: Precision = "float32"
    """The precision in which encoder and decoder compute: `bfloat16` in the public code. Trained weights, projector and
    losses are float32 in both."""


@dataclass(kw_only=True)
class AutoencoderConfig(_AutoencoderFields):
    """Settings of the plain autoencoder."""

    kind: Literal["ae"] = "ae"


@dataclass(kw_only=True)
class SparseAutoencoderConfig(_AutoencoderFields):
    """Settings of the sparse autoencoder."""

    kind: Literal["sae"] = "sae"
    rho: float = 0.05
    """ρ in Eq. 10: the mean activation that each unit should have, between 0 and 1."""
    mean_over: MeanOver = "batch"
    """Which vectors Eq. 9 averages. `batch`: those of the micro batch on the device. `example`: those of each example.
    `mixed`: those of each example, both branches together (the public code)."""
    outside: Outside = "linear"
    """How Eq. 10 treats a mean activation outside [eps, 1-eps]. `linear`: the KL continues along its tangent. `hard`:
    the mean is clamped, so that it has no gradient (the public code)."""
    eps: float = 1e-6
    """Smallest distance from 0 and 1 at which Eq. 10 is computed as written; see `outside`."""


@dataclass(kw_only=True)
class TopKConfig(_AutoencoderFields):
    """Settings of the autoencoder that keeps k units of each vector."""

    kind: Literal["topk"] = "topk"
    k: int = 32
    """Largest number of units that are active for a vector, between 1 and `latent`."""
    activation: Literal["relu"] = "relu"
    """Activation after the encoder."""


@dataclass(kw_only=True)
class JumpReLUConfig(_AutoencoderFields):
    """Settings of the autoencoder whose units have thresholds."""

    kind: Literal["jumprelu"] = "jumprelu"
    threshold: float = 0.1
    """The threshold of each unit before training, above 0."""
    bandwidth: float = 0.1
    """ε, the width of the window above a threshold in which values move the threshold, above 0."""
    activation: Literal["relu"] = "relu"
    """Activation after the encoder, before the threshold."""


@dataclass(kw_only=True)
class L1Config(_AutoencoderFields):
    """Settings of the autoencoder with a loss on the sum of the activations."""

    kind: Literal["l1"] = "l1"
    activation: Literal["relu"] = "relu"
    """Activation after the encoder."""


@dataclass(kw_only=True)
class NoCompressorConfig(ComponentConfig):
    """The choice of no compressor, which has no settings."""

    kind: Literal["none"] = "none"
