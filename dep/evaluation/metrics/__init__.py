"""The registry of metrics; each has a file here, which is registered when this package is imported.

To add a metric, put a file with a subclass of TextMetric (or of HistoryMetric or ModelMetric) into this folder. The
configuration, tables, charts and reports take their lists of metrics from the registry, ordered by `Metric.order`. A
metric outside the package needs no file here, since `evaluate.metrics.names` also accepts `my_module:MyMetric`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module
from inspect import isabstract
from pkgutil import iter_modules

from dep.evaluation.metrics.base import HistoryMetric, Metric, ModelMetric, TextMetric
from dep.utils.errors import DepError
from dep.utils.registry import ComponentConfig, Registry

__all__ = [
    "METRICS", "HistoryMetric", "Metric", "MetricsConfig", "ModelMetric", "TextMetric", "build_metric", "build_metrics",
    "load_metric", "metric_class", "ordered", "text_metrics",
]  # fmt: skip

METRICS: Registry[Metric] = Registry("metric", default="rouge1")
_LOADED: dict[str, type[Metric]] = {}
"""The classes of metrics that a configuration named as `my_module:MyMetric`, by their columns."""


def _register(module: str) -> None:
    """Add every metric class that `module` defines to the registry, except abstract ones."""
    for member in vars(import_module(module)).values():
        defined_here = isinstance(member, type) and issubclass(member, Metric) and member.__module__ == module
        if defined_here and not isabstract(member) and "name" in vars(member):
            METRICS.add(member.Config, f"{module}:{member.__name__}")


for _module in iter_modules(__path__):
    _register(f"{__name__}.{_module.name}")


def load_metric(name: str) -> type[Metric]:
    """Return the class of a metric that a configuration names by a registered name or as `my_module:MyMetric`.

    Raises:
        DepError: there is no such class, it is not a metric, or its column name is taken.
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
                f"metric {name!r}", "a name that no other metric has", f"{kind.name!r} of {other.__qualname__}",
                "give one of them another `name`",
            )  # fmt: skip
    return kind


def metric_class(name: str) -> type[Metric]:
    """Return the class of the metric whose column is called `name`.

    Raises:
        DepError: no registered or loaded metric has this column.
    """
    return _LOADED[name] if name in _LOADED else load_metric(name)


def ordered(names: Iterable[str]) -> list[str]:
    """Sort column names in the order of tables, each once."""
    return sorted(set(names), key=lambda name: (metric_class(name).order, name))


def text_metrics() -> list[str]:
    """Return the names of all registered metrics that need a text and its reference, in the order of tables."""
    return [name for name in ordered(METRICS) if issubclass(metric_class(name), TextMetric)]


def _default_names() -> list[str]:
    return [name for name in ordered(METRICS) if not issubclass(metric_class(name), ModelMetric)]


def _default_settings() -> dict[str, ComponentConfig]:
    return {name: METRICS.config_class(name)() for name in ordered(METRICS)}


@dataclass
class MetricsConfig:
    """Which metrics of generated texts are computed, and with which settings."""

    names: list[str] = field(default_factory=_default_names)
    """The metrics of generated texts, by registered names or as `my_module:MyMetric`."""
    settings: dict[str, ComponentConfig] = field(default_factory=_default_settings)
    """The settings of each metric by its name, as in `evaluate.metrics.settings.bertscore.layer`."""


def build_metric(name: str, config: MetricsConfig | None = None) -> Metric:
    """Build the metric called `name` with its settings from `config`.

    Raises:
        DepError: there is no metric of that name.
    """
    kind = load_metric(name)
    settings = (config or MetricsConfig()).settings.get(name)
    return kind(settings or METRICS.config_class(name)())


def build_metrics(config: MetricsConfig | None = None, texts: bool = True) -> dict[str, Metric]:
    """Build all metrics by column: first those that the model measures, then those that `config` names.

    Args:
        config: names and settings of metrics; None for the default.
        texts: whether there are generated texts to score; if not, only metrics that the model measures are built.
    """
    config = config or MetricsConfig()
    measured = [name for name in ordered(METRICS) if issubclass(metric_class(name), ModelMetric)]
    built = [build_metric(name, config) for name in [*measured, *(config.names if texts else [])]]
    return {metric.name: metric for metric in built}
