"""Computes a micro batch in parts, so that a budget of tokens bounds the memory, however long the prompts are.

    nll_b = f(x_b),   x_b the input embeddings of example b

Examples do not see each other and the LLM is frozen, so the trained part needs only the gradients d nll_b / d x_b.
Each part goes forward and backward through the LLM, its gradients are stored, and its activations are freed before the
next part begins. Compressor and projector still see the whole micro batch, and the result equals that of a single
pass. `likelihood` computes the LLM's output head in the same way, with tokens in place of examples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

NLL = Callable[[Tensor, Tensor], Tensor]
"""A function of the embeddings [R, ...] of some examples and their indices [R] that returns their nll [R]."""


def split_rows(lengths: Sequence[int], tokens: int, padded: bool) -> list[list[int]]:
    """Group examples by length so that each group fits a budget; an example above the budget is a group of its own.

    Args:
        lengths: the number of real tokens in each example.
        tokens: the budget of a group.
        padded: whether an example costs as many tokens as the longest of its group; True unless examples are packed.

    Returns:
        The indices of the examples in each group.
    """
    groups: list[list[int]] = []
    room = 0
    for row in sorted(range(len(lengths)), key=lambda at: -lengths[at]):
        cost = lengths[groups[-1][0]] if padded and groups else lengths[row]
        if not groups or cost > room:
            groups.append([])
            room, cost = tokens, lengths[row]
        groups[-1].append(row)
        room -= cost
    return groups


def in_microbatches(embeds_BTD: Tensor, parts: Sequence[Sequence[int]], nll: NLL) -> Tensor:
    """Compute negative log likelihoods [B] part by part; their gradient equals that of a single pass.

    Args:
        embeds_BTD: the input embeddings, or another tensor [B, ...] with an entry for each example.
        parts: the indices of the examples in each part, from `split_rows`; each index occurs once.
        nll: computes one part; only the embeddings may need a gradient.
    """
    nll_B: Tensor = _InParts.apply(embeds_BTD, parts, nll)
    return nll_B


class _InParts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, embeds_BTD: Tensor, parts: Sequence[Sequence[int]], nll: NLL) -> Tensor:
        needs_gradient = ctx.needs_input_grad[0]
        gradient = torch.zeros_like(embeds_BTD) if needs_gradient else None
        nll_B: Tensor | None = None
        for part in parts:
            rows = torch.tensor(part, device=embeds_BTD.device)
            with torch.set_grad_enabled(needs_gradient):
                own = embeds_BTD[rows].detach().requires_grad_(needs_gradient)
                nll_R = nll(own, rows)
            if gradient is not None:
                with torch.enable_grad():
                    total = nll_R.sum()
                gradient[rows] = torch.autograd.grad(total, own)[0]
            nll_B = nll_R.new_zeros(len(embeds_BTD)) if nll_B is None else nll_B
            nll_B[rows] = nll_R.detach()
        assert nll_B is not None, "a batch has rows"
        ctx.save_for_backward(gradient)
        return nll_B

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient_BTD,) = ctx.saved_tensors
        upstream_B = upstream[0].view(-1, *[1] * (gradient_BTD.dim() - 1))
        return gradient_BTD * upstream_B.to(gradient_BTD.dtype), None, None
