"""A pre-norm attention block, which reads a memory and then applies a feed-forward network.

    x <- x + attention(norm(x); norm(memory));   x <- x + mlp(norm(x))

In self-attention the memory is x itself. Shapes: B users, Q queries, M memory vectors, H heads, W width.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dep.utils.errors import DepError


class Attention(nn.Module):
    """Scaled dot-product attention with several heads.

    Args:
        width: W, of queries, memory and result.
        heads: H, which divides W.

    Raises:
        DepError: H does not divide W.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise DepError(
                f"soft_prompt.dep_user.width={width}", f"a multiple of heads={heads}", "a remainder",
                "change soft_prompt.dep_user.width or soft_prompt.dep_user.heads",
            )  # fmt: skip
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x_BQW: Tensor, memory_BMW: Tensor, present_BM: Tensor) -> Tensor:
        """Compute the result [B, Q, W]; memory vectors for which `present_BM` is False have no effect."""
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query(x_BQW), self.key(memory_BMW), self.value(memory_BMW))
        )
        read_BHQW = F.scaled_dot_product_attention(query, key, value, attn_mask=present_BM[:, None, None, :])
        out: Tensor = self.out(read_BHQW.transpose(1, 2).flatten(2))
        return out


class Block(nn.Module):
    """An attention block.

    Args:
        width: W.
        heads: number of attention heads.
        dropout: dropout rate of what attention and feed-forward network add.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.norm_memory, self.norm_mlp = (nn.LayerNorm(width) for _ in range(3))
        self.attention = Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BQW: Tensor, memory_BMW: Tensor, present_BM: Tensor) -> Tensor:
        """Update x by attention to the memory; every example needs at least one memory vector that is present."""
        read_BQW = self.attention(self.norm(x_BQW), self.norm_memory(memory_BMW), present_BM)
        x_BQW = x_BQW + self.dropout(read_BQW)
        out: Tensor = x_BQW + self.dropout(self.mlp(self.norm_mlp(x_BQW)))
        return out
