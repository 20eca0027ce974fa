"""Fits a compressor to vectors alone, without a language model, to compare kinds of compressor.

loss = L_recon + γ L_sparse        (Eq. 11 without the language loss and with λ = 1)
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from dep.models.compressors import COMPRESSORS
from dep.models.compressors.base import Compressor
from dep.models.compressors.code_stats import active_units, dead_units, explained_variance
from dep.utils.progress import stage
from dep.utils.registry import ComponentConfig

_BATCH = 64


class Code(NamedTuple):
    """What a fitted compressor does on vectors that it was not fitted to."""

    active_units: float
    """L0: the mean number of units above zero for a vector."""
    dead_units: float
    """The share of units that no vector activates."""
    explained_variance: float
    """1 for perfect reconstructions, 0 for those that are no better than the mean."""


def fit_compressor(
    config: ComponentConfig, e_NE: Tensor, gamma: float = 1.0, steps: int = 300, lr: float = 1e-3, seed: int = 0,
    progress: bool = True,
) -> Compressor:  # fmt: skip
    """Fit a compressor.

    Args:
        config: the compressor's settings.
        e_NE: the vectors, standardised if the compressor is to see them so.
        gamma: γ, the weight of the sparsity loss; 1 finds most planted traits (docs/latents.md).
        steps: number of steps of Adam, each on 64 vectors drawn with replacement.
        lr: the learning rate.
        seed: seed of initial weights and batches.
        progress: whether a progress bar is shown.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        compressor = COMPRESSORS.build(config, e_NE.shape[1])
        optimizer = torch.optim.Adam(cast(nn.Module, compressor).parameters(), lr=lr)
        with stage(f"fit {config.kind}", steps, show=progress) as advance:
            for _ in range(steps):
                v_1BE = e_NE[torch.randint(len(e_NE), (_BATCH,))][None].float()
                present = {"his": torch.ones(1, _BATCH, dtype=torch.bool)}
                losses = compressor.losses({"his": v_1BE}, {"his": compressor(v_1BE)}, present).losses  # type: ignore[arg-type]
                loss = losses["recon"] + gamma * losses.get("sparse", v_1BE.new_zeros(()))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                advance(1)
    return compressor


@torch.no_grad()
def code_of(compressor: Compressor, e_NE: Tensor) -> Code:
    """Measure a compressor on vectors."""
    out = compressor(e_NE.float())
    assert out.reconstruction is not None, "a compressor with a decoder"
    variance = explained_variance(e_NE.float(), out.reconstruction)
    return Code(float(active_units(out.latent)), float(dead_units(out.latent)), float(variance))
