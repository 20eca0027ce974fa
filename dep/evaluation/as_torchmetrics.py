"""The metrics as torchmetrics, for validation inside training: the states add up over batches and devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torchmetrics
from torch import Tensor

from dep.evaluation.metrics.bleu import STATISTICS, bleu_of_sums
from dep.evaluation.metrics.registry import MetricsConfig, build_metric


class TextMetric(torchmetrics.Metric):
    """One metric of metrics.METRICS over all texts seen since the last reset.

    State: the sum of the sufficient statistics, `(value, 1)` or BLEU's ten counts, summed over devices. The
    result is the mean over examples (also where `rouge.aggregate` asks for another), or corpus BLEU.

    Args:
        name: of rouge1, rougeL, meteor, bleu, bertscore.
        config: how it is computed.
        options: torchmetrics' own, such as `dist_sync_on_step`.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    sums: Tensor

    def __init__(self, name: str, config: MetricsConfig | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.metric = build_metric(name, config)
        size, kind = (len(STATISTICS), torch.long) if name == "bleu" else (2, torch.float32)
        self.add_state("sums", default=torch.zeros(size, dtype=kind), dist_reduce_fx="sum")

    def update(self, preds: Sequence[str], refs: Sequence[str]) -> None:
        """Add pairs of a generated text and its reference."""
        rows = torch.tensor(self.metric.statistics(preds, refs), dtype=torch.float64)
        if not len(rows):
            return
        total = rows.sum(0) if rows.ndim == 2 else torch.stack([rows.sum(), torch.tensor(float(len(rows)))])
        self.sums += total.to(self.sums)

    def compute(self) -> Tensor:
        """The metric of everything added, a float scalar; 0 where nothing was."""
        if self.metric.name == "bleu":
            return torch.tensor(float(bleu_of_sums(self.sums.double().cpu().numpy())))
        return self.sums[0] / self.sums[1].clamp(min=1)
