"""Records the matrix products that a computation cannot avoid, to time them alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Product = tuple[torch.Size | tuple[int, ...], torch.Size | tuple[int, ...]]
"""Shapes of the two matrices, or batches of matrices."""


class Products(TorchDispatchMode):
    """Records products while a computation runs.

    Attention counts as products too: scores and output in the forward pass, and in the backward pass the gradients of
    scores and queries. The gradients of new keys and values are left out, since they are small.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[Product] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and record it if it is a product."""
        name = func.overloadpacket.__name__
        if name in ("mm", "bmm"):
            self.counts[args[0].shape, args[1].shape] += 1
        elif name == "addmm":
            self.counts[args[1].shape, args[2].shape] += 1
        elif name == "_scaled_dot_product_flash_attention_for_cpu":
            self._attention(args[0], args[1])
        elif name == "_scaled_dot_product_flash_attention_for_cpu_backward":
            self._attention(args[1], args[2])
        return func(*args, **(kwargs or {}))

    def _attention(self, query: Tensor, key: Tensor) -> None:
        batch, heads, queries, width = query.shape
        columns = key.shape[2]
        both = batch * heads
        self.counts[(both, queries, width), (both, width, columns)] += 1
        self.counts[(both, queries, columns), (both, columns, width)] += 1

    @property
    def gflop(self) -> float:
        """Operations of all recorded products, in units of 10^9."""
        return sum(count * 2e-9 * torch.Size(a).numel() * b[-1] for (a, b), count in self.counts.items())

    def replay(self) -> Callable[[], None]:
        """Return a function that computes all recorded products, on numbers that are drawn once."""

        @cache
        def drawn(shape: tuple[int, ...]) -> Tensor:
            return torch.randn(shape)

        pairs = [(drawn(tuple(a)), drawn(tuple(b)), count) for (a, b), count in self.counts.items()]

        def run() -> None:
            for a, b, count in pairs:
                for _ in range(count):
                    torch.matmul(a, b)

        return run
