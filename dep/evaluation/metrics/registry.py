"""The registry of text metrics, and the one config that chooses and sets them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dep.evaluation.metrics.base import Metric
from dep.evaluation.metrics.bertscore import BertScore, BertScoreConfig
from dep.evaluation.metrics.bleu import Bleu
from dep.evaluation.metrics.meteor import Meteor
from dep.evaluation.metrics.rouge import Rouge1, RougeConfig, RougeL


@dataclass
class MetricsConfig:
    """Which metrics are computed of generated texts, and how."""

    names: list[str] = field(default_factory=lambda: ["rouge1", "rougeL", "meteor", "bleu", "bertscore"])
    """Of rouge1, rougeL, meteor, bleu, bertscore."""
    rouge: RougeConfig = field(default_factory=RougeConfig)
    """Of rouge1 and rougeL."""
    bertscore: BertScoreConfig = field(default_factory=BertScoreConfig)
    """Of bertscore."""


METRICS: dict[str, Callable[[MetricsConfig], Metric]] = {
    "rouge1": lambda config: Rouge1(config.rouge),
    "rougeL": lambda config: RougeL(config.rouge),
    "meteor": lambda config: Meteor(),
    "bleu": lambda config: Bleu(),
    "bertscore": lambda config: BertScore(config.bertscore),
}


def build_metric(name: str, config: MetricsConfig | None = None) -> Metric:
    """The metric called `name`.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in METRICS:
        raise ValueError(f"metric {name!r} is not known; expected one of {', '.join(METRICS)}")
    return METRICS[name](config or MetricsConfig())


def build_metrics(config: MetricsConfig | None = None) -> dict[str, Metric]:
    """Every metric that `config` names, in its order."""
    config = config or MetricsConfig()
    return {name: build_metric(name, config) for name in config.names}
