"""Fits how much recall counts, after the training, on reviews that the correction has not seen.

While the correction trains it sees the training's reviews several times, so that recall has less to add there than it
has for new people, and its trained share is too small. A few numbers need few reviews: those of the validation users
suffice, as for temperature scaling (Guo et al. 2017, arXiv 1706.04599). Only θ, ω and g of each recall are fitted:

    min over the numbers x of   -Σ log p(token; x) / τ + ½ |x - x_trained|²

τ = 10, since the tokens of one person are no independent evidence: on three sets, in folds over validation users, τ of
10 and 30 gained most of what τ of 1 gained where there was much to gain, and lost least where there was nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dep.models.adapters.memory import MemoryAdapter, MemoryChange
from dep.models.adapters.recall import Lookup

_TOKENS_PER_EVIDENCE = 10
"""τ: how many tokens count as one independent observation."""
_STEPS = 60
"""Largest number of steps of L-BFGS."""
_AT_ONCE = 64
"""Positions whose probabilities over the vocabulary are computed together."""


@dataclass(frozen=True)
class KnownTokens:
    """The M tokens of a batch's reviews, and what the adapter looks up for them; no number of recall has acted yet."""

    rows: Tensor
    """The row of the batch that each token belongs to [M]."""
    tokens: Tensor
    """[M]."""
    before: Tensor
    """The probability of each token before recall [M]."""
    lookups: Sequence[Lookup]

    @classmethod
    @torch.no_grad()
    def of(cls, change: MemoryChange, hidden_MD: Tensor, rows_M: Tensor, tokens_M: Tensor) -> KnownTokens:
        """Compute what does not depend on the numbers of recall.

        Args:
            change: what the adapter does to a batch.
            hidden_MD: the states that predict the tokens.
            rows_M: the row of the batch that each token belongs to.
            tokens_M: the tokens.
        """
        parts = torch.arange(len(tokens_M), device=tokens_M.device).split(_AT_ONCE)
        log_p = [
            change.before_recall(hidden_MD[part], rows_M[part]).gather(1, tokens_M[part, None])[:, 0] for part in parts
        ]
        return cls(rows_M, tokens_M, torch.cat(log_p).exp(), list(change.lookups(hidden_MD, rows_M)))

    @property
    def nll(self) -> Tensor:
        """-log p [M] of each token by the numbers as they are."""
        p_M = self.before
        for lookup in self.lookups:
            at_R, mixed = lookup.at, lookup.recalled
            p_M = p_M.index_copy(0, at_R, mixed.left * p_M[at_R] + mixed.probability_of(self.tokens[at_R]))
        return -p_M.clamp_min(torch.finfo(p_M.dtype).tiny).log()

    @property
    def row_means(self) -> Tensor:
        """The mean of -log p over the tokens of each review."""
        nll_M = self.nll.detach()
        return torch.stack([nll_M[self.rows == row].mean() for row in self.rows.unique()])


def fit_recall(adapter: MemoryAdapter, batches: Iterable[KnownTokens]) -> None:
    """Fit the adapter's numbers of recall to reviews; nothing else of the adapter changes.

    Args:
        adapter: the trained adapter.
        batches: the reviews, looked up by this adapter.
    """
    known, numbers = list(batches), adapter.recall_numbers
    if not known or not numbers:
        return
    trained = [number.detach().clone() for number in numbers]
    optimizer = torch.optim.LBFGS(numbers, max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        moved = torch.stack([number - start for number, start in zip(numbers, trained, strict=True)])
        evidence = torch.stack([batch.nll.sum() for batch in known]).sum() / _TOKENS_PER_EVIDENCE
        value = evidence + moved.square().sum() / 2
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
