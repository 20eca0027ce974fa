"""Makes dep's metrics usable as modules of Hugging Face's `evaluate`; evaluate_modules/ has a file for each.

evaluate.load("dep/evaluation/evaluate_modules/meteor/meteor.py").compute(predictions=[…], references=[…])
"""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import evaluate

from dep.evaluation.metrics import TextMetric, build_metric


class Module(evaluate.Metric):
    """Base class of modules for `evaluate`; computes dep's metric `metric_name` with default settings."""

    metric_name: str

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        metric = build_metric(self.metric_name)
        assert isinstance(metric, TextMetric), "`evaluate` passes texts"
        self.metric = metric
        return evaluate.MetricInfo(
            description=self.metric.signature,
            citation="",
            features=datasets.Features({"predictions": text, "references": text}),
        )

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        return {self.metric_name: self.metric.corpus(predictions, references)}
