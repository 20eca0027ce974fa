"""The metrics: one file each, registered when this package is imported.

A new metric is a file here with a subclass of TextMetric (or ModelMetric). Every list of metrics (the configuration's,
tables, charts, reports) follows from the registry, ordered by `Metric.order`. A metric of one's own needs no file here:
`evaluate.metrics.names` takes `my_module:MyMetric` too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module
from inspect import isabstract
from pkgutil import iter_modules

from dep.evaluation.metrics.base import Metric, ModelMetric, TextMetric
from dep.utils.errors import DepError
from dep.utils.registry import ComponentConfig, Registry

__all__ = [
    "METRICS", "Metric", "MetricsConfig", "ModelMetric", "TextMetric", "build_metric", "build_metrics", "load_metric",
    "metric_class", "ordered", "text_metrics",
]  # fmt: skip

METRICS: Registry[Metric] = Registry("metric", default="rouge1")
_LOADED: dict[str, type[Metric]] = {}
"""Column -> class, of metrics that were named by module and class."""


def _register(module: str) -> None:
    """Add every concrete metric that `module` defines."""
    for member in vars(import_module(module)).values():
        ours = isinstance(member, type) and issubclass(member, Metric) and member.__module__ == module
        if ours and not isabstract(member) and "name" in vars(member):
            METRICS.add(member.Config, f"{module}:{member.__name__}")


for _module in iter_modules(__path__):
    _register(f"{__name__}.{_module.name}")


def load_metric(name: str) -> type[Metric]:
    """The class of a metric as a configuration names it: a registered name, or `my_module:MyMetric`.

    Raises:
        DepError: there is none of that name.
    """
    try:
        kind = METRICS.component(name)
    except DepError as error:
        if ":" in name:
            raise
        raise DepError(f"metric {name!r}", f"one of {', '.join(METRICS)}", "none of that name", error.way_out) from None
    if not (isinstance(kind, type) and issubclass(kind, Metric)):
        raise DepError(f"metric {name!r}", "a subclass of dep.evaluation.metrics.Metric", repr(kind))
    if kind.name not in METRICS:
        other = _LOADED.setdefault(kind.name, kind)
        if (other.__module__, other.__qualname__) != (kind.__module__, kind.__qualname__):
            raise DepError(
                f"metric {name!r}", "a name that no other metric has", f"{kind.name!r}, as {other.__qualname__} has",
                "give one of them another `name`",
            )  # fmt: skip
    return kind


def metric_class(name: str) -> type[Metric]:
    """The class of the metric that fills the column `name`.

    Raises:
        DepError: no registered or loaded metric has that name.
    """
    return _LOADED[name] if name in _LOADED else load_metric(name)


def ordered(names: Iterable[str]) -> list[str]:
    """Distinct columns in the order of tables."""
    return sorted(set(names), key=lambda name: (metric_class(name).order, name))


def text_metrics() -> list[str]:
    """Every registered metric of generated texts, in the order of tables."""
    return [name for name in ordered(METRICS) if issubclass(metric_class(name), TextMetric)]


def _default_settings() -> dict[str, ComponentConfig]:
    return {name: METRICS.config_class(name)() for name in ordered(METRICS)}


@dataclass
class MetricsConfig:
    """Which metrics are computed of generated texts, and how."""

    names: list[str] = field(default_factory=text_metrics)
    """Metrics of generated texts: registered names, or `my_module:MyMetric`."""
    settings: dict[str, ComponentConfig] = field(default_factory=_default_settings)
    """Settings of each metric by its name, as in `evaluate.metrics.settings.bertscore.layer`."""


def build_metric(name: str, config: MetricsConfig | None = None) -> Metric:
    """The metric that a configuration calls `name`, with its settings.

    Raises:
        DepError: there is none of that name.
    """
    kind = load_metric(name)
    settings = (config or MetricsConfig()).settings.get(name)
    return kind(settings or METRICS.config_class(name)())


def build_metrics(config: MetricsConfig | None = None, texts: bool = True) -> dict[str, Metric]:
    """Metrics by their column: those that the model measures, then those that `config` names.

    Args:
        config: names and settings.
        texts: whether there are generated texts to score.
    """
    config = config or MetricsConfig()
    measured = [name for name in ordered(METRICS) if issubclass(metric_class(name), ModelMetric)]
    built = [build_metric(name, config) for name in [*measured, *(config.names if texts else [])]]
    return {metric.name: metric for metric in built}
