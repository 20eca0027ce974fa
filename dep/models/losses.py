"""Computes the losses of Eq. 8 to 11: reconstruction, sparsity, and their sum with the language loss.

    L_recon  = SmoothL1(e_his, ê_his) + SmoothL1(e_diff, ê_diff)                          (8)
    ρ̂_j      = mean over vectors of z_j, for each branch                                  (9)
    L_sparse = 1/d' Σ_j KL(ρ ‖ ρ̂_his,j) + 1/d' Σ_j KL(ρ ‖ ρ̂_diff,j)                      (10)
    L_total  = L_gen + λ (L_recon + γ L_sparse)                                           (11)

e -> vectors_BKE   ê -> rebuilt_BKE   z -> latents_BKZ   d' -> Z   ρ -> rho   λ -> lambda_   γ -> gamma
ρ̂ -> means_GZ (each of G groups of vectors, such as those of an example, has its own mean)

All functions take a dict with one tensor for each branch, `his` (a review's own vectors) and `diff` (differences from
peers). `present` [B, K] is True where there is a vector; a review without peers, for example, has no difference. Where
it is False, nothing enters a mean or gets a gradient.
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
"""A unit is called dead if no vector of the batch activates it above this value."""


def reconstruction_loss(
    vectors: PerBranch, rebuilt: PerBranch, present: PerBranch, over: ReconOver = "branch"
) -> Tensor:
    """Compute Eq. 8: the smooth L1 loss (beta 1) between vectors and their reconstructions.

    Args:
        vectors: for each branch [B, K, E], the embeddings.
        rebuilt: for each branch [B, K, E], the reconstructions of these embeddings.
        present: for each branch [B, K] bool.
        over: `branch` averages over all vectors of a branch and adds the two means (Eq. 8). `mixed` averages over the
            vectors of both branches of an example, and then over the examples that have a vector (the public code,
            whose batches hold one example).

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
    """Compute Eq. 9: the mean activation of every unit.

    Args:
        latents: for each branch [B, K, Z].
        present: for each branch [B, K] bool.
        over: which vectors form a group, over which the mean is taken. `batch`: all vectors of a branch in the batch.
            `example`: the vectors of a branch in one example (Eq. 9 as written). `mixed`: the vectors of both branches
            in one example (the public code).

    Returns:
        A tensor [G, Z] for each term of Eq. 10; groups and branches without a vector are left out.
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
    """Compute KL(ρ ‖ ρ̂) = ρ ln(ρ/ρ̂) + (1-ρ) ln((1-ρ)/(1-ρ̂)) for each mean activation ρ̂.

    The formula holds inside [eps, 1-eps]. With activations other than the sigmoid, a mean can lie outside. There
    `linear` continues the curve along its tangent, so that the gradient still points back inside. `hard` clamps the
    mean, so that the gradient is zero and nothing pulls the unit back. `activation_stats` counts such units.

    Args:
        rho: ρ, the target of the mean activation, between 0 and 1.
        means: mean activations, of any shape.
        eps: the distance from 0 and 1 at which the formula ends.
        outside: `linear` or `hard`.

    Returns:
        The divergence for each mean, in the shape of `means`.
    """
    inside = means.clamp(eps, 1 - eps)
    kl = rho * (math.log(rho) - inside.log()) + (1 - rho) * (math.log1p(-rho) - torch.log1p(-inside))
    if outside == "hard":
        return kl
    slope = ((1 - rho) / (1 - inside) - rho / inside).detach()
    return kl + slope * (means - inside)


def sparsity_loss(means: Sequence[Tensor], rho: float, eps: float, outside: Outside, like: PerBranch) -> Tensor:
    """Compute Eq. 10: average the divergence (`kl_to_target`) over the groups and units of each term; add the terms.

    Args:
        means: a tensor [G, Z] for each term, from `mean_activations`.
        rho: the target of the mean activation, between 0 and 1.
        eps: see `kl_to_target`.
        outside: see `kl_to_target`.
        like: tensors on whose device the result lies if `means` is empty.

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
    """Compute Eq. 11, and add every other auxiliary loss times its weight.

    Args:
        lm: the language loss.
        losses: auxiliary losses by name; a missing `recon` or `sparse` counts as zero.
        lambda_: λ.
        gamma: γ.
        weights: the weights of losses that are neither `recon` nor `sparse`.

    Raises:
        DepError: such a loss has no weight.
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
    """Compute statistics of the activations over the vectors of both branches together.

    Returns:
        `mean_activation`, the mean of all activations; `dead_units`, the share of units that no vector of this batch
        activates above `DEAD`; and `clamped_units`, the share of the means of Eq. 9 that lie outside [eps, 1-eps],
        where `hard` passes no gradient. The dict is empty if there is no vector.
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
