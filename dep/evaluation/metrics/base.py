"""Base classes of metrics, which define a metric's name and format, its statistics for each example, and its result.

A metric stores *sufficient statistics* for each example: numbers whose sum over any set of examples gives the metric of
this set. For a metric that is a mean over examples they are `(value, 1)`; for BLEU they are n-gram counts.

Metric modules import heavy packages (torch, transformers, nltk, sacrebleu) only when they are used, because every
configuration and every table imports the metric modules.

Shape suffixes: N examples, S statistics of an example.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dep.evaluation.significance import mean_of_sums, with_ones
from dep.utils.errors import DepError
from dep.utils.registry import ComponentConfig

T = TypeVar("T")
Array = NDArray[np.float64]
Statistic = float | list[int] | list[float]
"""What a score file holds for one example: the metric's value, or a list of statistics."""


class Metric(ABC):
    """The base class of all metrics, which score the test examples of an arm.

    Args:
        config: settings of the metric; None for the default.
    """

    name: ClassVar[str]
    """The metric's column in score files and results."""
    label: ClassVar[str]
    """The metric's name in tables and charts."""
    unit: ClassVar[str] = "0 to 1"
    """The range or unit of the values, as tables show it."""
    decimals: ClassVar[int] = 3
    """Number of decimals of a printed value."""
    higher_is_better: ClassVar[bool] = True
    """Whether a higher value is better."""
    order: ClassVar[int] = 100
    """The position in tables; metrics with the same position are sorted by name."""
    statistic_names: ClassVar[tuple[str, ...]] = ()
    """Names of the statistics of an example; empty for a mean over examples, which stores one value."""

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """The metric has no settings."""

    def __init__(self, config: ComponentConfig | None = None) -> None:
        self.config = config or self.Config()

    @classmethod  # noqa: B027
    def check_machine(cls) -> None:
        """Check, before a run works for hours, that this machine has the files that the metric reads.

        Raises:
            DepError: it lacks some.
        """

    @property
    @abstractmethod
    def signature(self) -> str:
        """The library, its version and all options that change the value, joined by `|` as in sacreBLEU."""

    @abstractmethod
    def score(self, rows: Sequence[Mapping[str, Any]], *, progress: bool = False) -> Sequence[Statistic]:
        """Return what the score file holds for each example.

        Args:
            rows: lines of predictions.jsonl, with `prediction`, `reference` and the model's own measurements.
            progress: show a progress bar.
        """

    @classmethod
    def sufficient(cls, column: ArrayLike) -> Array:
        """Convert a column [N] or [N, S] of a score file to sufficient statistics [N, S].

        Raises:
            DepError: the column does not hold this metric's statistics.
        """
        if not cls.statistic_names:
            return with_ones(column)
        rows, width = np.asarray(column, dtype=np.float64), len(cls.statistic_names)
        if rows.ndim != 2 or rows.shape[1] != width:
            raise DepError(
                f"{cls.name}: expected the {width} counts {cls.statistic_names} in each score row, got {rows.shape[1:]}"
            )
        return rows

    @classmethod
    def reduce(cls, sums: Array) -> Array:
        """Compute the metric from summed statistics [..., S]; metrics with `statistic_names` override this."""
        return mean_of_sums(sums)

    @classmethod
    def of_column(cls, column: ArrayLike) -> float:
        """Compute the metric over a whole column of a score file."""
        return float(cls.reduce(cls.sufficient(column).sum(0)))


class TextMetric(Metric):
    """The base class of metrics that compare each generated text with one reference."""

    @abstractmethod
    def per_example(
        self, predictions: Sequence[str], references: Sequence[str], *, progress: bool = False
    ) -> list[float]:
        """Return one value for each pair of a prediction and its reference.

        Args:
            predictions: generated texts; an empty text scores 0.
            references: the users' real texts, one for each prediction.
            progress: show a progress bar.

        Raises:
            DepError: the two lists differ in length.
        """

    def statistics(
        self, predictions: Sequence[str], references: Sequence[str], *, progress: bool = False
    ) -> Sequence[Statistic]:
        """Return what the score file holds for each pair: its value, unless the metric has `statistic_names`."""
        return self.per_example(predictions, references, progress=progress)

    def score(self, rows: Sequence[Mapping[str, Any]], *, progress: bool = False) -> Sequence[Statistic]:
        """Compare each row's `prediction` with its `reference`; return what the score file holds for each row."""
        predictions, references = [row["prediction"] for row in rows], [row["reference"] for row in rows]
        return self.statistics(predictions, references, progress=progress)

    def corpus(self, predictions: Sequence[str], references: Sequence[str]) -> float:
        """Compute the metric of all pairs together: the mean over examples, or `reduce` of the summed statistics.

        Raises:
            DepError: there are no pairs.
        """
        column = self.statistics(predictions, references)
        if not len(column):
            raise DepError(f"{self.name}: no pairs to score")
        return self.of_column(column) if self.statistic_names else float(np.mean(column))


class HistoryMetric(Metric):
    """The base class of metrics that compare each generated text with the texts of its user's past reviews.

    Their rows also have `past_texts`, which the evaluation stage adds: all reviews that the user wrote before the
    target, oldest first.
    """

    def ceiling(self, rows: Sequence[Mapping[str, Any]]) -> float:
        """Return the value that the users' real reviews have, which a generated text can hardly exceed."""
        return self.of_column(self.score([{**row, "prediction": row["reference"]} for row in rows]))


class ModelMetric(Metric):
    """The base class of metrics that the model measures on real reviews; they need no generated text."""

    def score(self, rows: Sequence[Mapping[str, Any]], *, progress: bool = False) -> Sequence[Statistic]:
        """Return for each row the value that the generation stage stored in it."""
        return [row[self.name] for row in rows]


def check_pairs(name: str, predictions: Sequence[str], references: Sequence[str]) -> None:
    """Raise DepError unless there is one reference for each prediction."""
    if len(predictions) != len(references):
        counts = f"{len(predictions)} predictions against {len(references)} references"
        raise DepError(f"{name}: {counts}; give one reference for each prediction")


def track(items: Iterable[T], description: str, total: int, progress: bool) -> Iterable[T]:
    """Show a progress bar while `items` are read; without `progress`, or if `total` is 0, show none."""
    if not (progress and total):
        return items
    from rich.progress import track as rich_track

    return rich_track(items, description, total=total)


def signed(name: str, library: str, **options: object) -> str:
    """Build a signature of the form `name|option:value|…|library:version`."""
    parts = [name, *(f"{key}:{value}" for key, value in options.items()), f"{library}:{version(library)}"]
    return "|".join(parts)
