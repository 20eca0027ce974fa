"""The likelihood of reviews under changed logits, with its gradients, without keeping the logits of all positions.

    p_m = left_m softmax(logits(x_m) + added_{row of m})[target_m] + hit_m
    nll_b = -Σ weight_m log p_m   over the positions m of row b

x [M, D] are the states that the output head reads, `added` [B, V] is what each row of the batch adds to its logits, and
`left` and `hit` [M] mix in what is recalled. The gradient for a position's logits depends on later computations only by
the gradient of its row's nll, a factor. So the forward pass computes everything but that factor, for some positions at
a time, in the same buffers; nothing is computed twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from dep.models.backbones.output_head import LOGITS


def row_nll(
    logits_of: Callable[[Tensor], Tensor],
    x_MD: Tensor,
    added_BV: Tensor,
    left_M: Tensor,
    hit_M: Tensor,
    rows_M: Tensor,
    targets_M: Tensor,
    weights_M: Tensor,
) -> Tensor:
    """Compute the nll [B] of the module's equations; x, added, left and hit get gradients.

    Args:
        logits_of: the frozen LLM's output head: states [R, D] to logits [R, V].
        x_MD: states at the head's input.
        added_BV: what each row adds to its logits.
        left_M: the share of the LLM's probabilities.
        hit_M: the recalled probability of each target.
        rows_M: the row of the batch that each position belongs to.
        targets_M: token ids.
        weights_M: weights of the positions.
    """
    inputs = (x_MD, added_BV, left_M, hit_M)
    learns = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
    nll_B: Tensor = _RowNLL.apply(*inputs, logits_of, rows_M, targets_M, weights_M, learns)
    return nll_B


class _RowNLL(torch.autograd.Function):
    """Computes nll and, where `learns`, all gradients for a factor of 1."""

    @staticmethod
    def forward(
        ctx: Any,
        x_MD: Tensor,
        added_BV: Tensor,
        left_M: Tensor,
        hit_M: Tensor,
        logits_of: Callable[[Tensor], Tensor],
        rows_M: Tensor,
        targets_M: Tensor,
        weights_M: Tensor,
        learns: bool,
    ) -> Tensor:
        log_p_M, log_total_M = torch.empty_like(left_M), torch.empty_like(left_M)
        grad_MD, grad_BV = (torch.zeros_like(one) if learns else None for one in (x_MD, added_BV))
        for part_R in torch.arange(len(x_MD), device=x_MD.device).split(max(1, LOGITS // added_BV.shape[1])):
            x_RD = x_MD[part_R].detach().requires_grad_(learns)
            with torch.set_grad_enabled(learns):
                logits_RV = logits_of(x_RD)
            row_of_RB = F.one_hot(rows_M[part_R], len(added_BV)).to(added_BV)
            changed_RV = torch.addmm(logits_RV.detach().to(added_BV), row_of_RB, added_BV)
            log_p_RV = changed_RV.log_softmax(1)
            targets_R1 = targets_M[part_R, None]
            log_p_M[part_R] = log_p_RV.gather(1, targets_R1)[:, 0]
            ours_R = left_M[part_R].log() + log_p_M[part_R]
            log_total_M[part_R] = torch.logaddexp(ours_R, hit_M[part_R].log())
            if grad_MD is not None and grad_BV is not None:
                factor_R = weights_M[part_R] * (ours_R - log_total_M[part_R]).exp()
                grad_RV = torch.exp(log_p_RV, out=log_p_RV)
                grad_RV.scatter_add_(1, targets_R1, torch.full_like(factor_R, -1)[:, None])
                grad_BV.addmm_((row_of_RB * factor_R[:, None]).T, grad_RV)
                (grad_RD,) = torch.autograd.grad(logits_RV, x_RD, grad_RV.to(logits_RV.dtype))
                grad_MD[part_R] = factor_R[:, None] * grad_RD
        if learns:
            left_grad_M = -weights_M * (log_p_M - log_total_M).exp()
            hit_grad_M = torch.where(hit_M > 0, -weights_M * (-log_total_M).exp(), 0.0)
            ctx.save_for_backward(rows_M, grad_MD, grad_BV, left_grad_M, hit_grad_M)
        return log_total_M.new_zeros(len(added_BV)).index_add(0, rows_M, -weights_M * log_total_M)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, factor_B: Tensor) -> tuple[Tensor | None, ...]:
        rows_M, grad_MD, grad_BV, left_grad_M, hit_grad_M = ctx.saved_tensors
        factor_M = factor_B[rows_M]
        x_grad_MD, added_grad_BV = factor_M[:, None] * grad_MD, factor_B[:, None] * grad_BV
        return x_grad_MD, added_grad_BV, factor_M * left_grad_M, factor_M * hit_grad_M, None, None, None, None, None
