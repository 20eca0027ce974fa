"""The losses of Eq. 8 to 11: reconstruction, sparsity, and their sum with the language loss.

    L_recon  = SmoothL1(e_his, ê_his) + SmoothL1(e_diff, ê_diff)                          (8)
    ρ̂_j      = mean over vectors of z_j, for each branch                                  (9)
    L_sparse = 1/d' Σ_j KL(ρ ‖ ρ̂_his,j) + 1/d' Σ_j KL(ρ ‖ ρ̂_diff,j)                      (10)
    L_total  = L_gen + λ (L_recon + γ L_sparse)                                           (11)

e -> vectors_BKE   ê -> rebuilt_BKE   z -> latents_BKZ   d' -> Z   ρ -> rho   λ -> lambda_   γ -> gamma
ρ̂ -> means_GZ (G groups, each of which has its own mean)

All functions take one tensor per branch, in a dict. `present` [B, K] marks the places that hold a vector. The other
places (a review without peers has no difference) enter no mean and get no gradient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dep.models.compressors.settings import MeanOver, Outside, ReconOver
from dep.types import Branch
from dep.utils.errors import DepError

PerBranch = Mapping[Branch, Tensor]

DEAD = 1e-3
"""A unit counts as dead if no vector of the batch activates it above this value."""


def reconstruction_loss(
    vectors: PerBranch, rebuilt: PerBranch, present: PerBranch, over: ReconOver = "branch"
) -> Tensor:
    """Eq. 8: the smooth L1 loss (beta 1) between the present vectors and their reconstructions.

    Args:
        vectors: [B, K, E] per branch, the embeddings.
        rebuilt: [B, K, E] per branch, their reconstructions.
        present: [B, K] bool per branch.
        over: `branch` averages over all present vectors of a branch and sums the branches (Eq. 8). `mixed` averages
            over the present vectors of both branches of an example, then over the examples that have any (the public
            code, whose batches hold one example).

    Returns:
        A scalar; 0 if no vector is present.
    """
    if over == "mixed":
        return _mixed_reconstruction(vectors, rebuilt, present)
    terms = [
        F.smooth_l1_loss(rebuilt[branch][here].float(), vectors[branch][here].float())
        for branch, here in present.items()
        if here.any()
    ]
    return _sum(terms, like=rebuilt)


def _mixed_reconstruction(vectors: PerBranch, rebuilt: PerBranch, present: PerBranch) -> Tensor:
    errors, counts = [], []
    for branch, here_BK in present.items():
        error_BKE = F.smooth_l1_loss(rebuilt[branch].float(), vectors[branch].float(), reduction="none")
        errors.append(error_BKE.mean(-1).masked_fill(~here_BK, 0.0).sum(1))
        counts.append(here_BK.sum(1))
    if not errors:
        return _sum([], like=rebuilt)
    total_B, count_B = torch.stack(errors).sum(0), torch.stack(counts).sum(0)
    some_B = count_B > 0
    return (total_B[some_B] / count_B[some_B]).mean() if bool(some_B.any()) else _sum([], like=rebuilt)


def mean_activations(latents: PerBranch, present: PerBranch, over: MeanOver) -> list[Tensor]:
    """Eq. 9: the mean activation of every unit.

    Args:
        latents: [B, K, Z] per branch.
        present: [B, K] bool per branch.
        over: what a mean runs over. `batch`: all present vectors of the batch. `example`: the vectors of one
            example (Eq. 9 as written, N being one user's reviews). `mixed`: the vectors of one example, both
            branches together (the public code).

    Returns:
        One [G, Z] tensor for each term of Eq. 10. Groups and branches without a vector are left out.
    """
    if not latents:
        return []
    if over == "batch":
        return [latents[b][here].float().mean(0, keepdim=True) for b, here in present.items() if here.any()]
    pairs = [(latents[b].float(), here) for b, here in present.items()]
    if over == "mixed":
        pairs = [(torch.cat([z for z, _ in pairs], 1), torch.cat([here for _, here in pairs], 1))]
    means = []
    for z_BKZ, here_BK in pairs:
        count_B = here_BK.sum(1)
        total_BZ = z_BKZ.masked_fill(~here_BK[..., None], 0.0).sum(1)
        if (count_B > 0).any():
            means.append(total_BZ[count_B > 0] / count_B[count_B > 0, None])
    return means


def kl_to_target(rho: float, means: Tensor, eps: float, outside: Outside) -> Tensor:
    """KL(ρ ‖ ρ̂) = ρ ln(ρ/ρ̂) + (1-ρ) ln((1-ρ)/(1-ρ̂)), elementwise, for means inside [eps, 1-eps].

    Activations other than the sigmoid can have a mean outside (0, 1). `linear` continues the curve by its tangent, so
    that the gradient still points back inside. `hard` clamps the mean, so that the gradient is exactly zero and the
    unit is no longer pulled back. `activation_stats` counts such units.

    Args:
        rho: target mean activation, in (0, 1).
        means: mean activations, of any shape.
        eps: distance from 0 and 1 at which the formula stops.
        outside: `linear` or `hard`.

    Returns:
        The divergence, of the shape of `means`.
    """
    inside = means.clamp(eps, 1 - eps)
    kl = rho * (math.log(rho) - inside.log()) + (1 - rho) * (math.log1p(-rho) - torch.log1p(-inside))
    if outside == "hard":
        return kl
    slope = ((1 - rho) / (1 - inside) - rho / inside).detach()
    return kl + slope * (means - inside)


def sparsity_loss(means: Sequence[Tensor], rho: float, eps: float, outside: Outside, like: PerBranch) -> Tensor:
    """Eq. 10: the divergence of `kl_to_target`, averaged over the groups and units of a term and summed over terms.

    Args:
        means: one [G, Z] tensor per term, from `mean_activations`.
        rho: target mean activation, in (0, 1).
        eps: as in `kl_to_target`.
        outside: as in `kl_to_target`.
        like: tensors whose device the result gets if `means` is empty.

    Returns:
        A scalar; 0 if `means` is empty.
    """
    return _sum([kl_to_target(rho, m, eps, outside).mean() for m in means], like=like)


def total_loss(
    lm: Tensor,
    losses: Mapping[str, Tensor],
    lambda_: float,
    gamma: float,
    weights: Mapping[str, float] | None = None,
) -> Tensor:
    """Eq. 11, plus every other auxiliary loss times its weight.

    Args:
        lm: the language loss.
        losses: auxiliary losses by name; a missing `recon` or `sparse` counts as zero.
        lambda_: λ.
        gamma: γ.
        weights: weights of the losses of other names.

    Raises:
        DepError: a loss has no weight.
    """
    zero = lm.new_zeros(())
    total = lm + lambda_ * (losses.get("recon", zero) + gamma * losses.get("sparse", zero))
    for name in sorted(losses.keys() - {"recon", "sparse"}):
        if name not in (weights or {}):
            raise DepError(
                f"auxiliary loss {name!r}",
                "a weight",
                "none",
                "give it one in the adapter's or compressor's loss_weights",
            )
        total = total + (weights or {})[name] * losses[name]
    return total


def activation_stats(latents: PerBranch, present: PerBranch, means: Sequence[Tensor], eps: float) -> dict[str, Tensor]:
    """Statistics of the activations, over the present vectors of both branches together.

    Returns:
        mean_activation: mean of all activations. dead_units: share of the units that no vector of this batch
            activates above `DEAD`. clamped_units: share of the means of Eq. 9 that lie outside [eps, 1-eps], where
            a hard clamp passes no gradient. An empty dict if no vector is present.
    """
    active = [latents[b][here].detach().float() for b, here in present.items()]
    if not any(z.numel() for z in active):
        return {}
    z_MZ = torch.cat(active)
    means_GZ = torch.cat([m.detach() for m in means])
    return {
        "mean_activation": z_MZ.mean(),
        "dead_units": (z_MZ.amax(0) <= DEAD).float().mean(),
        "clamped_units": ((means_GZ < eps) | (means_GZ > 1 - eps)).float().mean(),
    }


def _sum(terms: list[Tensor], like: PerBranch) -> Tensor:
    if terms:
        return torch.stack(terms).sum()
    return next(iter(like.values())).new_zeros((), dtype=torch.float32) if like else torch.zeros(())
