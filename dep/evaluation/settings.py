"""Settings of evaluation: metrics, intervals and tests."""

from __future__ import annotations

from dataclasses import dataclass, field

from dep.evaluation.metrics import MetricsConfig
from dep.utils.fields import RUNTIME


@dataclass
class EvaluateConfig:
    """Settings of the scores and of the resamples for intervals and tests."""

    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    """Metrics of the generated text; the likelihood of the real text is always measured."""
    texts: bool = True
    """Whether to generate reviews; if false, only the likelihood is reported."""
    batch_size: int = field(default=16, metadata=RUNTIME)
    """Examples in one forward pass that measures the likelihood; changes no number."""
    n_boot: int = 2000
    """Number of resamples for each interval and each test."""
    seed: int = 0
    """Seed of the resamples."""
