"""Muon (Jordan et al. 2024): momentum whose directions are all made equally long before a matrix takes it.

A text embedding has a few strong directions and many weak ones, and what tells one user from another is in the weak
ones: a gradient step, also Adam's, spends itself on the strong. On the built-in world 200 steps of Muon take the soft
prompt three times as far as AdamW at its best learning rate (experiments/LOG.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

_A, _B, _C = 3.4445, -4.7750, 2.0315
"""Jordan's quintic: five steps bring every singular value near 1."""


class Muon(torch.optim.Optimizer):
    """Muon for matrices in fp32, AdamW for what is no matrix.

    torch's own Muon orthogonalises in bfloat16, which is several times slower on a CPU without bfloat16 units, and
    takes no vectors.

    Args:
        matrices: parameters [rows, columns] that act as linear maps.
        lr: their learning rate: each update has about this spectral norm (times sqrt(rows / columns) where rows are
            more).
        others: groups {params, lr} of biases, norms, embedding tables, and of whatever else is AdamW's.
        weight_decay: decoupled, of both.
        momentum: of the matrices.
        betas: of the others.
    """

    def __init__(
        self,
        matrices: Iterable[Tensor],
        lr: float,
        others: Iterable[dict[str, Any]] = (),
        weight_decay: float = 0.05,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        groups = [{"params": list(matrices), "lr": lr, "muon": True}]
        groups += [group | {"muon": False} for group in others]
        super().__init__(groups, {"weight_decay": weight_decay, "momentum": momentum, "betas": betas})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One update; matrices of one shape are orthogonalised together."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            update = self._matrices if group["muon"] else self._others
            update(group, [p for p in group["params"] if p.grad is not None])
        return loss

    def _matrices(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        shapes: dict[torch.Size, list[Tensor]] = {}
        for p in parameters:
            shapes.setdefault(p.shape, []).append(p)
        for (rows, columns), same in shapes.items():
            moved = []
            for p in same:
                assert p.grad is not None
                buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
                buffer.lerp_(p.grad, 1 - group["momentum"])
                moved.append(p.grad.lerp(buffer, group["momentum"]))
            scale = max(1, rows / columns) ** 0.5
            for p, u in zip(same, orthogonal(torch.stack(moved)), strict=True):
                p.mul_(1 - group["lr"] * group["weight_decay"]).add_(u, alpha=-group["lr"] * scale)

    def _others(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        one, two = group["betas"]
        for p in parameters:
            assert p.grad is not None
            state = self.state[p]
            if not state:
                state |= {"step": torch.zeros(()), "mean": torch.zeros_like(p), "square": torch.zeros_like(p)}
            state["step"] += 1
            state["mean"].lerp_(p.grad, 1 - one)
            state["square"].lerp_(p.grad.square(), 1 - two)
            mean = state["mean"] / (1 - one ** state["step"].item())
            square = state["square"] / (1 - two ** state["step"].item())
            p.mul_(1 - group["lr"] * group["weight_decay"]).addcdiv_(mean, square.sqrt() + 1e-8, value=-group["lr"])


def orthogonal(x_NRC: Tensor) -> Tensor:
    """Each matrix [R, C] with singular values near 1, by five Newton-Schulz steps; zero stays zero."""
    tall = x_NRC.shape[1] > x_NRC.shape[2]
    x = x_NRC.mT if tall else x_NRC
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        a = x @ x.mT
        x = _A * x + (_B * a + _C * a @ a) @ x
    return x.mT if tall else x
