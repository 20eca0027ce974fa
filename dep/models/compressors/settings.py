"""Settings of the compressors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dep.models.settings import Init
from dep.utils.registry import ComponentConfig

Activation = Literal["sigmoid", "gelu", "relu"]
MeanOver = Literal["batch", "example", "mixed"]
Outside = Literal["linear", "hard"]


@dataclass(kw_only=True)
class _AutoencoderFields(ComponentConfig):
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


@dataclass(kw_only=True)
class AutoencoderConfig(_AutoencoderFields):
    """The autoencoder's settings."""

    kind: Literal["ae"] = "ae"


@dataclass(kw_only=True)
class SparseAutoencoderConfig(_AutoencoderFields):
    """The sparse autoencoder's settings."""

    kind: Literal["sae"] = "sae"
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


@dataclass(kw_only=True)
class NoCompressorConfig(ComponentConfig):
    """Nothing to set."""

    kind: Literal["none"] = "none"
