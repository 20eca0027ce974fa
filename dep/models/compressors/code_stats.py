"""Statistics of sparse codes: active units, dead units and explained variance.

    L0 = mean over vectors of |{j: z_j > 0}|
    EV = 1 - Σ ‖e - ê‖² / Σ ‖e - mean e‖²,   both sums over all vectors

e -> vectors   ê -> reconstructions   z -> latents
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dep.models.compressors.base import Compressed, PerBranch
from dep.types import Branch


def explained_variance(e_NE: Tensor, rebuilt_NE: Tensor) -> Tensor:
    """Compute EV, a scalar: 1 for perfect reconstructions, 0 if they are no better than the mean of the vectors."""
    left, whole = (e_NE - rebuilt_NE).square().sum(), (e_NE - e_NE.mean(0)).square().sum()
    return 1 - left / whole.clamp(min=torch.finfo(whole.dtype).tiny)


def active_units(z_NZ: Tensor) -> Tensor:
    """Compute L0, a scalar: the mean number of units that are above zero for a vector."""
    return (z_NZ > 0).float().sum(1).mean()


def dead_units(z_NZ: Tensor) -> Tensor:
    """Compute the share of units that no vector activates, a scalar."""
    return (z_NZ > 0).any(0).logical_not().float().mean()


def code_stats(vectors: PerBranch, out: Mapping[Branch, Compressed], present: PerBranch) -> dict[str, Tensor]:
    """Compute the statistics of a batch, over the vectors of both branches together.

    Args:
        vectors: the embeddings [B, K, E] of each branch.
        out: what the compressor returned for these embeddings.
        present: for each branch a mask [B, K]; embeddings where it is False are left out.

    Returns:
        `active_units` (L0), `dead_units`, the share of units that no vector of the batch activates, and
        `explained_variance`, whose mean vector is that of each branch; empty if there is no vector.
    """
    here = {branch: mask_BK for branch, mask_BK in present.items() if bool(mask_BK.any())}
    if not here:
        return {}
    z_NZ = torch.cat([out[branch].latent[mask_BK].detach().float() for branch, mask_BK in here.items()])
    stats = {"active_units": active_units(z_NZ), "dead_units": dead_units(z_NZ)}
    centred, errors = [], []
    for branch, mask_BK in here.items():
        rebuilt = out[branch].reconstruction
        if rebuilt is not None:
            e_NE = vectors[branch][mask_BK].detach().float()
            centred.append(e_NE - e_NE.mean(0))
            errors.append(e_NE - rebuilt[mask_BK].detach().float())
    whole_NE, error_NE = torch.cat(centred), torch.cat(errors)
    stats["explained_variance"] = explained_variance(whole_NE, whole_NE - error_NE)
    return stats
