"""CoPe's contrastive decoding (Bu et al., 2025, arXiv 2506.12109): it moves a text away from what anybody would say.

    p(v) ∝ p_user(v) · (p_user(v) / p_base(v))^α   for tokens with p_user(v) >= β max_w p_user(w), else 0

p_user is the LLM with the adapter, p_base the same LLM without it. The log of their quotient is the reward of a model
that was tuned from the base. The temperature and the nucleus apply to the result. The authors' code computes
p_user / p_base^α', which is this for α = α' / (1 - α') at (1 + α) times the temperature.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def contrast(user_BV: Tensor, base_BV: Tensor, alpha: float, floor: float) -> Tensor:
    """Compute the contrasted log probabilities, up to a constant in each row.

    Args:
        user_BV: logits of the model with the adapter; -inf for tokens that are never chosen.
        base_BV: logits of the model without it.
        alpha: α, how much the quotient counts; 0 leaves p_user, restricted by `floor`.
        floor: β, from 0 to 1.

    Returns:
        [B, V], -inf for tokens that are not chosen; at least one token of a row is left.
    """
    user_BV, base_BV = user_BV.log_softmax(-1), base_BV.log_softmax(-1)
    least_B1 = user_BV.amax(-1, keepdim=True) + (math.log(floor) if floor else -torch.inf)
    left_BV = (user_BV >= least_B1) & user_BV.isfinite()
    return (user_BV + alpha * (user_BV - base_BV)).masked_fill(~left_BV, -torch.inf)
