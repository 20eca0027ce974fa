"""A micro batch read a few rows at a time, so that a budget of tokens bounds the memory, whatever the prompts' lengths.

    nll_b = f(x_b),   x_b a row's input embeddings         d nll_b / d x_b at once, kept until the rest is known

Rows do not see each other and the LLM is frozen: the gradient at its input is all that the trained part needs. So each
piece goes forward and back through the LLM before the next is read, and its activations are gone by then. Compressor
and projectors still see the whole micro batch, and the result is that of one piece. The same serves the LLM's head,
whose rows are tokens (`nll`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

NLL = Callable[[Tensor, Tensor], Tensor]
"""Takes embeddings [R, ...] of some rows and their indices [R], gives their likelihoods [R]."""


def split_rows(lengths: Sequence[int], tokens: int, padded: bool) -> list[list[int]]:
    """Share rows out, longest first, so that none but a single row is longer than the budget.

    Args:
        lengths: real tokens of each row.
        tokens: how many a piece may hold.
        padded: whether a row costs as much as the longest of its piece (no packing).

    Returns:
        The rows of each piece.
    """
    found: list[list[int]] = []
    room = 0
    for row in sorted(range(len(lengths)), key=lambda at: -lengths[at]):
        cost = lengths[found[-1][0]] if padded and found else lengths[row]
        if not found or cost > room:
            found.append([])
            room, cost = tokens, lengths[row]
        found[-1].append(row)
        room -= cost
    return found


def in_microbatches(embeds_BTD: Tensor, parts: Sequence[Sequence[int]], nll: NLL) -> Tensor:
    """Likelihoods [B] of all rows, part by part, with the gradient of reading them at once.

    Args:
        embeds_BTD: input embeddings, or anything else [B, ...] that stands for a row.
        parts: every row once, from `pieces`.
        nll: reads some rows; nothing but their embeddings may need a gradient.
    """
    found: Tensor = _InPieces.apply(embeds_BTD, parts, nll)
    return found


class _InPieces(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, embeds_BTD: Tensor, parts: Sequence[Sequence[int]], nll: NLL) -> Tensor:
        wanted = ctx.needs_input_grad[0]
        kept = torch.zeros_like(embeds_BTD) if wanted else None
        found: Tensor | None = None
        for part in parts:
            rows = torch.tensor(part, device=embeds_BTD.device)
            with torch.set_grad_enabled(wanted):
                own = embeds_BTD[rows].detach().requires_grad_(wanted)
                nll_R = nll(own, rows)
            if kept is not None:
                with torch.enable_grad():
                    total = nll_R.sum()
                kept[rows] = torch.autograd.grad(total, own)[0]
            found = nll_R.new_zeros(len(embeds_BTD)) if found is None else found
            found[rows] = nll_R.detach()
        assert found is not None, "a batch has rows"
        ctx.save_for_backward(kept)
        return found

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        (kept_BTD,) = ctx.saved_tensors
        each = upstream[0].view(-1, *[1] * (kept_BTD.dim() - 1))
        return kept_BTD * each.to(kept_BTD.dtype), None, None
