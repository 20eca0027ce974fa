"""Makes dep's metrics usable as torchmetrics, whose states are summed over batches and devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torchmetrics
from torch import Tensor

from dep.evaluation.metrics import MetricsConfig, TextMetric, build_metric
from dep.utils.errors import DepError


class TorchMetric(torchmetrics.Metric):
    """Computes a metric over all generated texts since the last reset.

    The state is the sum of the metric's sufficient statistics over batches and devices. The result is computed from
    that sum: the mean over examples, or corpus BLEU. ROUGE's setting `aggregate` is ignored.

    Args:
        name: the name of a metric of generated texts, as in `evaluate.metrics.names`.
        config: settings of the metrics.
        options: options of `torchmetrics.Metric`, such as `dist_sync_on_step`.

    Raises:
        DepError: `name` is unknown, or is not a metric of generated texts.
    """

    is_differentiable = False
    higher_is_better = None  # torchmetrics wants a class constant; the value is in `metric.higher_is_better`
    full_state_update = False
    sums: Tensor

    def __init__(self, name: str, config: MetricsConfig | None = None, **options: Any) -> None:
        super().__init__(**options)
        metric = build_metric(name, config)
        if not isinstance(metric, TextMetric):
            raise DepError(f"{name}: expected a metric of generated texts, found {type(metric).__name__}")
        self.metric = metric
        counts = len(metric.statistic_names)
        self.add_state(
            "sums", torch.zeros(counts or 2, dtype=torch.float64 if counts else torch.float32), dist_reduce_fx="sum"
        )

    def update(self, preds: Sequence[str], refs: Sequence[str]) -> None:
        """Add pairs of a generated text and its reference."""
        if len(preds):
            rows = self.metric.sufficient(self.metric.statistics(preds, refs))
            self.sums += torch.from_numpy(rows.sum(0)).to(self.sums)

    def compute(self) -> Tensor:
        """Return the metric of all pairs that were added, as a float scalar; 0 if there are none."""
        if not self.sums.any():
            return torch.tensor(0.0)
        return torch.tensor(float(self.metric.reduce(self.sums.double().cpu().numpy())))
