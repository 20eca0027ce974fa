"""Likelihood and generation with an adapter that acts at the LLM's output (`dep.models.adapters.base.OutputChange`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dep.inference.decoding import Reading
from dep.inference.target_states import TargetStates
from dep.models.adapters.base import OutputChange
from dep.models.backbones.output_head import head_input
from dep.types import IGNORE, Batch


def changed_nll(states: TargetStates, change: OutputChange, batch: Batch) -> tuple[Tensor, Tensor]:
    """Compute the negative log likelihood of each example's target, as `likelihood.example_nll` does.

    The LLM reads only examples whose states are not kept yet.

    Args:
        states: the states at the positions that predict the targets.
        change: what the adapter does to the logits.
        batch: the examples, padded on either side.

    Returns:
        The sum over the target's tokens [B] in nats, weighted if the batch has weights, and the number of tokens [B].

    Raises:
        DepError: an example has no target token.
    """
    hidden_MD, is_target_BT = states.of_batch(batch), batch.labels != IGNORE
    weights_M = hidden_MD.new_ones(len(hidden_MD)) if batch.weights is None else batch.weights[is_target_BT]
    nll_B = change.nll(hidden_MD, is_target_BT.nonzero()[:, 0], batch.labels[is_target_BT], weights_M)
    return nll_B, is_target_BT.sum(1)


class ChangedReading(Reading):
    """A `Reading` whose logits are the log probabilities of an adapter that acts at the LLM's output."""

    def __init__(self, change: OutputChange, *arguments: Any, **settings: Any) -> None:
        """Store the change; the other arguments are those of `Reading`."""
        super().__init__(*arguments, **settings)
        self.change = change
        self._rows_B = torch.arange(len(self.mask_BT), device=self.mask_BT.device)

    def first(self) -> Tensor:
        """Read the prompts; return the log probabilities [B, V] after each."""
        return self._changed(super().first)

    def next(self, token_B1: Tensor) -> Tensor:
        """Read the next token of each text; return the log probabilities [B, V] after each."""
        return self._changed(lambda: super(ChangedReading, self).next(token_B1))

    def keep(self, rows: Tensor) -> None:
        """Keep only the texts at the indices `rows`."""
        super().keep(rows)
        self._rows_B = self._rows_B[rows]

    def _changed(self, read: Callable[[], Tensor]) -> Tensor:
        with head_input(self.model, computes=False) as seen:  # `change` computes logits of its own
            read()
        return self.change.log_probs(torch.cat([hidden_BTD[:, -1] for hidden_BTD in seen]), self._rows_B)
