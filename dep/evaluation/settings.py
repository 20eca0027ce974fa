"""Settings of scores and their intervals."""

from __future__ import annotations

from dataclasses import dataclass, field

from dep.evaluation.metrics import MetricsConfig
from dep.utils.fields import RUNTIME


@dataclass
class EvaluateConfig:
    """Scores, and the resamples of intervals and tests."""

    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    """Metrics of the generated text; the likelihood of the real one is always measured."""
    texts: bool = True
    """Whether reviews are generated at all; without, only the likelihood is reported."""
    batch_size: int = field(default=16, metadata=RUNTIME)
    """Examples at a time when the likelihood is measured; changes no number."""
    n_boot: int = 2000
    """Resamples of each interval and each test."""
    seed: int = 0
    """Of the resamples."""
