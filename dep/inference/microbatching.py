"""A micro batch computed a few rows at a time: a budget of tokens bounds the memory, whatever the prompts' lengths.

    nll_b = f(x_b),   x_b a row's input embeddings         d nll_b / d x_b is computed at once and stored

Rows do not see each other and the LLM is frozen, so the trained part needs only the gradient at the LLM's input. Each
part therefore goes forward and backward through the LLM before the next one, and its activations are freed. Compressor
and projectors still see the whole micro batch, and the result equals that of one pass. The LLM's head is computed in
the same way; its rows are tokens (`likelihood`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

NLL = Callable[[Tensor, Tensor], Tensor]
"""Takes embeddings [R, ...] of some rows and their indices [R]; returns their negative log likelihoods [R]."""


def split_rows(lengths: Sequence[int], tokens: int, padded: bool) -> list[list[int]]:
    """Group rows, longest first, so that each group fits the budget, except a single row that is longer than it.

    Args:
        lengths: real tokens of each row.
        tokens: the budget of a group.
        padded: whether a row costs as much as the longest of its group (no packing).

    Returns:
        The rows of each group.
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
    """Negative log likelihoods [B] of all rows, computed part by part, with the gradient of a single pass.

    Args:
        embeds_BTD: input embeddings, or another tensor [B, ...] with one entry a row.
        parts: groups of rows, each row once, from `split_rows`.
        nll: computes some rows; only their embeddings may need a gradient.
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
