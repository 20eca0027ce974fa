"""The optimizer Muon (Jordan et al. 2024), which updates a matrix by its momentum with singular values of about 1.

Text embeddings have a few strong directions and many weak ones, and users differ in the weak ones. Steps of gradient
descent and of Adam mostly follow the strong ones. On the built-in world, 200 steps of Muon lower the loss three times
as much as 200 steps of AdamW at its best learning rate (experiments/LOG.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

_A, _B, _C = 3.4445, -4.7750, 2.0315
"""Coefficients of Jordan's quintic polynomial; applying it five times brings every singular value near 1."""


NORMS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm)


def without_decay(groups: Iterable[dict[str, Any]], module: nn.Module) -> list[dict[str, Any]]:
    """Split parameter groups so that biases and the weights of norm layers have no weight decay.

    Args:
        groups: the parameter groups of an optimizer.
        module: the module that holds all these parameters.

    Returns:
        The groups in their order, each followed by a group with `weight_decay` 0 that holds its biases and norm
        weights. Empty groups are left out.
    """
    spared = {
        id(p)
        for layer in module.modules()
        for name, p in layer.named_parameters(recurse=False)
        if "bias" in name or isinstance(layer, NORMS)
    }
    split = []
    for group in groups:
        decayed = [p for p in group["params"] if id(p) not in spared]
        split.append({**group, "params": decayed})
        split.append({**group, "params": [p for p in group["params"] if id(p) in spared], "weight_decay": 0.0})
    return [group for group in split if group["params"]]


class Muon(torch.optim.Optimizer):
    """Muon in float32 for matrices, and AdamW for all other parameters.

    torch's own Muon orthogonalises in bfloat16, which is several times slower on a CPU without bfloat16 units, and it
    does not accept vectors.

    Args:
        matrices: parameters [rows, columns] that act as linear maps.
        lr: learning rate of the matrices. An update has about this spectral norm, times sqrt(rows / columns) if there
            are more rows than columns.
        others: groups {params, lr} of all other parameters (biases, norms, embedding tables), which AdamW updates.
        weight_decay: decoupled weight decay of all parameters.
        momentum: momentum of the matrices.
        betas: AdamW's betas.
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
        """Update all parameters that have a gradient; matrices of the same shape are processed together."""
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
            updates = []
            for p in same:
                assert p.grad is not None
                buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
                buffer.lerp_(p.grad, 1 - group["momentum"])
                updates.append(p.grad.lerp(buffer, group["momentum"]))
            scale = max(1, rows / columns) ** 0.5
            for p, u in zip(same, orthogonal(torch.stack(updates)), strict=True):
                p.mul_(1 - group["lr"] * group["weight_decay"]).add_(u, alpha=-group["lr"] * scale)

    def _others(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        beta_1, beta_2 = group["betas"]
        for p in parameters:
            assert p.grad is not None
            state = self.state[p]
            if not state:
                state |= {"step": torch.zeros(()), "mean": torch.zeros_like(p), "square": torch.zeros_like(p)}
            state["step"] += 1
            state["mean"].lerp_(p.grad, 1 - beta_1)
            state["square"].lerp_(p.grad.square(), 1 - beta_2)
            mean = state["mean"] / (1 - beta_1 ** state["step"].item())
            square = state["square"] / (1 - beta_2 ** state["step"].item())
            p.mul_(1 - group["lr"] * group["weight_decay"]).addcdiv_(mean, square.sqrt() + 1e-8, value=-group["lr"])


def orthogonal(x_NRC: Tensor) -> Tensor:
    """Set the singular values of matrices to about 1 by five Newton-Schulz steps.

    Args:
        x_NRC: N matrices [R, C].

    Returns:
        The new matrices [N, R, C]; a zero matrix stays zero.
    """
    tall = x_NRC.shape[1] > x_NRC.shape[2]
    x = x_NRC.mT if tall else x_NRC
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        a = x @ x.mT
        x = _A * x + (_B * a + _C * a @ a) @ x
    return x.mT if tall else x
