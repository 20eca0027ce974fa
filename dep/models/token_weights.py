"""Weighs the tokens of a training review by the causal effect of past reviews, as NextQuill (2506.02368) does.

    effect_t = ln P(y_t | past reviews, request, y_<t) - ln P(y_t | request, y_<t)
    w_t      = r_t / mean r,   r_t = effect_t limited to [0.1, 0.9]

The paper leaves the weights open. Its code gives 0.9 to tokens whose probability the past reviews raise by more than
0.05, and 0.1 to others, by the LLM that is being trained; here the weight grows between the two with the effect in
nats, and the frozen LLM decides, so that it reads each review twice and not in every epoch. The paper's second loss,
on the difference of the trained LLM's logits, is not a part of this.
"""

from __future__ import annotations

from torch import Tensor

FLOOR, CEILING = 0.1, 0.9
"""The limits of an effect in nats; no token of a review weighs more than nine times another."""


def history_weights(with_history_T: Tensor, without_T: Tensor) -> Tensor:
    """Compute the weights [T] of a review's tokens; their mean is 1.

    Args:
        with_history_T: the log likelihood of each token after the past reviews and the request, in nats.
        without_T: the same after the request alone.
    """
    limited_T = (with_history_T - without_T).clamp(FLOOR, CEILING)
    return limited_T / limited_T.mean()
