"""The calibration of a trained adapter at the LLM's output: recall is fitted on the validation users."""

from __future__ import annotations

from typing import NamedTuple

import torch

from dep.data.datamodule import ReviewData
from dep.models.adapters.memory import MemoryAdapter, MemoryChange
from dep.models.adapters.recall_fit import KnownTokens, fit_recall
from dep.training.module import PersonalizationModule
from dep.types import IGNORE
from dep.utils.errors import DepError
from dep.utils.progress import stage

REPORT = "calibration.json"
"""The file of what the calibration changed, beside the adapter."""


class Calibration(NamedTuple):
    """What the calibration changed; likelihoods in nats per token, as means over the validation reviews."""

    reviews: int
    before: float
    after: float
    share_before: float | None
    """The share of recall from a user's own past, g; None for an adapter without it."""
    share_after: float | None

    @property
    def line(self) -> str:
        """The changes in one line."""
        text = f"NLL of {self.reviews} validation reviews {self.before:.4f} -> {self.after:.4f}"
        if self.share_before is None or self.share_after is None:
            return text
        return f"{text}, share of the user's past {self.share_before:.3f} -> {self.share_after:.3f}"


def calibrate(module: PersonalizationModule, data: ReviewData) -> Calibration:
    """Fit how much recall counts on the validation users' reviews; see `recall_fit`.

    Args:
        module: the module with the trained adapter, a `MemoryAdapter`.
        data: holds the validation examples.

    Raises:
        DepError: there is no validation example.
    """
    adapter = module.soft_prompt.adapter
    assert isinstance(adapter, MemoryAdapter), "only adapters at the output calibrate"
    loader, known = data.val_dataloader(), []
    with stage("calibrating on the validation users", len(loader)) as advance:
        for batch in loader:
            change = adapter.output_change(module.backbone, batch)
            assert isinstance(change, MemoryChange), "the change is the adapter's"
            is_target_BT = batch.labels != IGNORE
            rows_M = is_target_BT.nonzero()[:, 0]
            known.append(KnownTokens.of(change, module.states.of_batch(batch), rows_M, batch.labels[is_target_BT]))
            advance(1)
    if not known:
        way_out = "set protocol.val_users (or val_examples) above 0, or train.calibrate=false"
        raise DepError("train.calibrate", "validation examples", "none", way_out)
    before, share_before = _nll(known), _share(adapter)
    fit_recall(adapter, known)
    nll_N = _nll(known)
    return Calibration(len(nll_N), float(before.mean()), float(nll_N.mean()), share_before, _share(adapter))


def _nll(known: list[KnownTokens]) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([batch.row_means for batch in known])


def _share(adapter: MemoryAdapter) -> float | None:
    return float(adapter.own_numbers["gate"].detach().sigmoid()) if adapter.config.his else None
