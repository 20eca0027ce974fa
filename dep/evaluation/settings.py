"""Settings of evaluation: metrics, intervals and tests."""

from __future__ import annotations

from dataclasses import dataclass, field

from dep.evaluation.judge_settings import JudgeConfig
from dep.evaluation.metrics import MetricsConfig
from dep.utils.fields import RUNTIME


@dataclass
class EvaluateConfig:
    """Which scores are computed, and how intervals and tests are resampled."""

    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    """The metrics of generated texts; the likelihood of the real texts is always computed."""
    texts: bool = True
    """Whether reviews are generated; if not, only the likelihood is reported."""
    batch_size: int = field(default=16, metadata=RUNTIME)
    """Number of examples in a forward pass that computes the likelihood; it changes no result."""
    shown: int = field(default=3, metadata=RUNTIME)
    """Number of test requests, of different users if possible, that the report shows with the texts of all arms."""
    print_texts: bool = field(default=False, metadata=RUNTIME)
    """Whether these texts are also printed in the terminal at the end of the run."""
    n_boot: int = 2000
    """Number of resamples for each interval and each test."""
    seed: int = 0
    """Seed of the resamples."""
    judge: JudgeConfig = field(default_factory=JudgeConfig, metadata=RUNTIME)
    """Settings of `dep judge`."""
