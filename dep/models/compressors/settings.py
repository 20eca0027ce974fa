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
    """Width d' of the latent vector, in units."""
    bias: bool = True
    """Whether the encoder and the decoder have a bias."""
    activation: Activation = "sigmoid"
    """Activation after the encoder. `sigmoid` keeps every mean activation inside (0, 1), where Eq. 10 is defined, but
    all units start near 0.5: before training the soft tokens of unrelated users have a cosine of 0.9995, with `gelu`
    (the public code) 0.0 and with `relu` 0.3, and a small learning rate may not separate them."""
    decoder_activation: DecoderActivation = "none"
    """Activation after the decoder: `none` (Eq. 5), or `gelu` (the public code), which cannot reconstruct a component
    below -0.17."""
    recon_over: ReconOver = "branch"
    """What Eq. 8 averages over: each `branch`, and the two means are summed (the paper), or the vectors of both
    branches of an example `mixed` (the public code). With as many differences as reviews, `mixed` is half of
    `branch`."""
    init: Init = "xavier"
    """Initial weights: `xavier` (the paper), `normal` (the public code: N(0, 0.02), zero biases) or torch's own."""
    dtype: Precision = "float32"
    """In which precision encoder and decoder compute: `bfloat16` in the public code. Trained weights, projector and
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
    """ρ of Eq. 10: target mean activation of a unit, in (0, 1)."""
    mean_over: MeanOver = "batch"
    """What the mean of Eq. 9 runs over: the micro `batch` on the device, each `example`, or each example with the
    vectors of both branches `mixed` (the public code)."""
    outside: Outside = "linear"
    """How Eq. 10 treats a mean outside [eps, 1-eps]: `linear` continues the KL by its tangent, `hard` clamps the mean,
    which removes its gradient (the public code)."""
    eps: float = 1e-6
    """How close to 0 and 1 a mean counts as inside."""


@dataclass(kw_only=True)
class NoCompressorConfig(ComponentConfig):
    """Settings of the choice without a compressor; there is nothing to set."""

    kind: Literal["none"] = "none"
