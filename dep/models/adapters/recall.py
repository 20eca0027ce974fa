"""Recall: the words that stood in similar places of earlier reviews (the continuous cache of Grave et al., 2017).

    w = softmax of  [θ cos(h - μ, h_j - μ) for each earlier token j,  θ ω + log P]
    p(v) = (1 - g (1 - w_0)) p_before(v) + g Σ_{j: y_j = v} w_j

h is the state that predicts the next token, h_j that which predicted the earlier token y_j, μ the mean of the h_j, P
their number, and w_0 the last entry of w, "nothing similar". θ, ω and g are trained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

START = {"scale": math.log(15.0), "none": 0.6, "gate": -3.0}
"""log θ, ω and logit g before training: what is recalled counts a little."""


NEAREST = 256
"""How many of others' tokens a position recalls, the most similar ones; the others would weigh next to nothing."""


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


def recall(
    hidden_RD: Tensor,
    places: Places,
    numbers: Mapping[str, Tensor],
    hidden_from_RP: Tensor | None = None,
    nearest: int | None = None,
    strength: float = 1.0,
) -> Recalled:
    """Look up similar places.

    Args:
        hidden_RD: states of R positions that predict tokens.
        places: the P earlier tokens, in the dtype of the states.
        numbers: `scale`, `none` and `gate`: log θ, ω and logit g.
        hidden_from_RP: True where a position must not see an earlier token; None where it may see all.
        nearest: how many of the most similar tokens are weighed; None for all.
        strength: g is multiplied by it, to at most 1.
    """
    count = len(places.tokens)
    similar_RN = F.normalize(hidden_RD - places.mean, dim=1) @ places.directions.T
    tokens_RN = places.tokens.expand(len(hidden_RD), -1)
    seen_R1 = hidden_RD.new_full((len(hidden_RD), 1), count)
    if hidden_from_RP is not None:
        similar_RN = similar_RN.masked_fill(hidden_from_RP, -math.inf)
        seen_R1 = seen_R1 - hidden_from_RP.sum(1, keepdim=True)
    if nearest is not None and nearest < count:
        similar_RN, at_RN = similar_RN.topk(nearest, 1)
        tokens_RN = places.tokens[at_RN]
    scale, gate = numbers["scale"].exp(), (strength * numbers["gate"].sigmoid()).clamp(max=1)
    none_R1 = scale * numbers["none"] + seen_R1.clamp_min(1).log()
    weights_RQ = torch.cat([scale * similar_RN, none_R1], 1).softmax(1)
    return Recalled(tokens_RN, gate * weights_RQ[:, :-1], 1 - gate * (1 - weights_RQ[:, -1]))


class OthersReview(NamedTuple):
    """A review of the training as the LLM read it."""

    author: str
    tokens: Tensor
    """[T]."""
    states: Tensor
    """[T, D], in the order of the tokens."""


class OthersReviews(nn.Module):
    """A sample of the training users' reviews, in which every position recalls, whoever the user is.

    It is knowledge of how people write, and no one's: the control has it too. In training, a user's own reviews are
    hidden from that user's examples.

    Args:
        size: Q, the number of tokens.
        width: D.
    """

    tokens: Tensor
    states: Tensor
    authors: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("tokens", torch.zeros(size, dtype=torch.long))
        self.register_buffer("states", torch.zeros(size, width, dtype=torch.float16))
        self.register_buffer("authors", torch.full((size,), -1))
        self.numbers = nn.ParameterDict({name: nn.Parameter(torch.tensor(value)) for name, value in START.items()})
        self._author_of: dict[str, int] = {}
        self._places: tuple[object, Places] | None = None

    def fill(self, reviews: Sequence[OthersReview], author_of: Mapping[str, str]) -> None:
        """Keep as many tokens of the reviews as there is room for.

        Args:
            reviews: reviews of the training.
            author_of: the author of each training example, by its key.
        """
        numbers = {name: at for at, name in enumerate(dict.fromkeys(author_of.values()))}
        self._author_of = {key: numbers[name] for key, name in author_of.items()}
        parts = [(review.tokens, review.states, numbers[review.author]) for review in reviews]
        tokens_N, states_ND = (torch.cat(column) for column in ([p[0] for p in parts], [p[1] for p in parts]))
        authors_N = torch.cat([torch.full((len(tokens),), author) for tokens, _, author in parts])
        kept = min(len(tokens_N), len(self.tokens))
        self.authors.fill_(-1)  # of places that stay empty
        for buffer, values in ((self.tokens, tokens_N), (self.states, states_ND), (self.authors, authors_N)):
            buffer[:kept] = values[:kept]

    def recall(self, hidden_RD: Tensor, keys: Sequence[str]) -> Recalled:
        """Look up similar places in others' reviews.

        Args:
            hidden_RD: states of R positions that predict tokens.
            keys: the key of each position's example.
        """
        places = self._prepared(hidden_RD)
        own_R = torch.tensor([self._author_of.get(key, -2) for key in keys], device=self.authors.device)
        authors_P = self.authors[: len(places.tokens)]
        hidden_from_RP = None if bool((own_R == -2).all()) else authors_P == own_R[:, None]
        return recall(hidden_RD, places, dict(self.numbers.items()), hidden_from_RP, NEAREST)

    def _prepared(self, like: Tensor) -> Places:
        """Return the kept tokens in the dtype and on the device of `like`; they are prepared anew when they change."""
        made_from = self.states.data_ptr(), self.states._version, self.authors._version, like.dtype
        if self._places is None or self._places[0] != made_from:
            kept = int((self.authors >= 0).sum())
            self._places = made_from, Places.of(self.tokens[:kept], self.states[:kept].to(like))
        return self._places[1]
