"""Recall: the words that stood in similar places of earlier reviews (the continuous cache of Grave et al., 2017).

    w = softmax of  [θ cos(h - μ, h_j - μ) for each earlier token j,  θ ω + log P]
    p(v) = (1 - g (1 - w_0)) p_before(v) + g Σ_{j: y_j = v} w_j

h is the state that predicts the next token, h_j that which predicted the earlier token y_j, μ the mean of the h_j, P
their number, and w_0 the last entry of w, "nothing similar". θ, ω and g are trained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

START = {"scale": math.log(15.0), "none": 0.6, "gate": -3.0}
"""log θ, ω and logit g before training: what is recalled counts a little."""


class Places(NamedTuple):
    """Earlier tokens, and where they stood."""

    tokens: Tensor
    """y_j [P]."""
    mean: Tensor
    """μ [D]."""
    directions: Tensor
    """h_j - μ [P, D], each of length 1."""

    @classmethod
    def of(cls, tokens_P: Tensor, states_PD: Tensor) -> Places:
        """Prepare tokens and the states that predicted them."""
        mean_D = states_PD.mean(0)
        return cls(tokens_P, mean_D, F.normalize(states_PD - mean_D, dim=1))


class Recalled(NamedTuple):
    """What R positions recall of earlier tokens, N each."""

    tokens: Tensor
    """y_j [R, N]."""
    weights: Tensor
    """g w_j [R, N]."""
    left: Tensor
    """1 - g (1 - w_0) [R], the share of the probabilities before."""

    def probability_of(self, tokens_R: Tensor) -> Tensor:
        """Return the recalled probability [R] of one token at each position."""
        return (self.weights * (self.tokens == tokens_R[:, None])).sum(1)


class Similar(NamedTuple):
    """The N earlier tokens that R positions compare themselves with."""

    tokens: Tensor
    """y_j [R, N]."""
    cosines: Tensor
    """cos(h - μ, h_j - μ) [R, N]."""
    seen: Tensor
    """P [R, 1], how many earlier tokens each position sees."""


class Lookup(NamedTuple):
    """What some positions of a batch look up, and the numbers that weigh it."""

    at: Tensor
    """The R positions."""
    similar: Similar
    numbers: Mapping[str, Tensor]
    """`scale`, `none` and `gate`: log θ, ω and logit g."""
    strength: float = 1.0

    @property
    def recalled(self) -> Recalled:
        """What the positions recall."""
        return recalled(self.similar, self.numbers, self.strength)


def similar_places(
    hidden_RD: Tensor, places: Places, hidden_from_RP: Tensor | None = None, nearest: int | None = None
) -> Similar:
    """Compare R positions with earlier tokens; nothing here is trained.

    Args:
        hidden_RD: states of R positions that predict tokens.
        places: the P earlier tokens, in the dtype of the states.
        hidden_from_RP: True where a position must not see an earlier token; None where it may see all.
        nearest: how many of the most similar tokens are kept; None for all.
    """
    count = len(places.tokens)
    cosines_RN = F.normalize(hidden_RD - places.mean, dim=1) @ places.directions.T
    tokens_RN = places.tokens.expand(len(hidden_RD), -1)
    seen_R1 = hidden_RD.new_full((len(hidden_RD), 1), count)
    if hidden_from_RP is not None:
        cosines_RN = cosines_RN.masked_fill(hidden_from_RP, -math.inf)
        seen_R1 = seen_R1 - hidden_from_RP.sum(1, keepdim=True)
    if nearest is not None and nearest < count:
        cosines_RN, at_RN = cosines_RN.topk(nearest, 1)
        tokens_RN = places.tokens[at_RN]
    return Similar(tokens_RN, cosines_RN, seen_R1)


def recalled(similar: Similar, numbers: Mapping[str, Tensor], strength: float = 1.0) -> Recalled:
    """Weigh similar places by the trained numbers.

    Args:
        similar: what R positions are similar to.
        numbers: `scale`, `none` and `gate`: log θ, ω and logit g.
        strength: g is multiplied by it, to at most 1.
    """
    scale, gate = numbers["scale"].exp(), (strength * numbers["gate"].sigmoid()).clamp(max=1)
    none_R1 = scale * numbers["none"] + similar.seen.clamp_min(1).log()
    weights_RQ = torch.cat([scale * similar.cosines, none_R1], 1).softmax(1)
    return Recalled(similar.tokens, gate * weights_RQ[:, :-1], 1 - gate * (1 - weights_RQ[:, -1]))
