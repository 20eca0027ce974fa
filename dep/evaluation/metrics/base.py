"""What a metric is: how it is named and printed, what it keeps of each example, and how that reduces to one number.

A metric has *sufficient statistics*: numbers kept of each example, from which the metric of any set of examples
follows. For a metric that is a mean over examples they are `(value, 1)`; BLEU keeps n-gram counts.

Modules of metrics import nothing heavy (torch, transformers, nltk, sacrebleu) before it is used: every configuration
and every table reads them.
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
"""What a score file keeps of one example: the value, or a list of statistics."""


class Metric(ABC):
    """One metric of an arm's test examples.

    Args:
        config: its settings; the defaults where None.
    """

    name: ClassVar[str]
    """The column of score files and results that it fills."""
    label: ClassVar[str]
    """How tables and charts call it."""
    unit: ClassVar[str] = "0 to 1"
    """The range or unit of its values, for a reader."""
    decimals: ClassVar[int] = 3
    """Decimals that a value is printed with."""
    higher_is_better: ClassVar[bool] = True
    """The direction that is good."""
    order: ClassVar[int] = 100
    """Place in tables: the smallest first, equal ones by name."""
    statistic_names: ClassVar[tuple[str, ...]] = ()
    """Names of the statistics kept of an example. Empty for a mean over examples, which keeps its value."""

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Nothing to set."""

    def __init__(self, config: ComponentConfig | None = None) -> None:
        self.config = config or self.Config()

    @property
    @abstractmethod
    def signature(self) -> str:
        """Library, version and every option that moves the number, joined by `|`, in the manner of sacreBLEU."""

    @abstractmethod
    def score(self, rows: Sequence[Mapping[str, Any]], *, progress: bool = False) -> Sequence[Statistic]:
        """What a score file keeps of each example.

        Args:
            rows: lines of predictions.jsonl, with `prediction`, `reference` and what the model measured.
            progress: show a progress bar.
        """

    @classmethod
    def sufficient(cls, column: ArrayLike) -> Array:
        """Sufficient statistics [N, S] of a column of a score file.

        Raises:
            ValueError: the column does not hold what this metric keeps.
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
        """The metric from summed statistics: [..., S] -> [...]. A metric with `statistic_names` overrides it."""
        return mean_of_sums(sums)

    @classmethod
    def of_column(cls, column: ArrayLike) -> float:
        """The metric of a whole column of a score file."""
        return float(cls.reduce(cls.sufficient(column).sum(0)))


class TextMetric(Metric):
    """A metric of generated texts against one reference each."""

    @abstractmethod
    def per_example(
        self, predictions: Sequence[str], references: Sequence[str], *, progress: bool = False
    ) -> list[float]:
        """One value for each pair.

        Args:
            predictions: generated texts; an empty one scores 0.
            references: what the users wrote, one each.
            progress: show a progress bar.

        Raises:
            ValueError: the two lists differ in length.
        """

    def statistics(
        self, predictions: Sequence[str], references: Sequence[str], *, progress: bool = False
    ) -> Sequence[Statistic]:
        """What a score file keeps of each pair: its value, unless the metric has `statistic_names`."""
        return self.per_example(predictions, references, progress=progress)

    def score(self, rows: Sequence[Mapping[str, Any]], *, progress: bool = False) -> Sequence[Statistic]:
        """The statistics of each row's `prediction` against its `reference`."""
        predictions, references = [row["prediction"] for row in rows], [row["reference"] for row in rows]
        return self.statistics(predictions, references, progress=progress)

    def corpus(self, predictions: Sequence[str], references: Sequence[str]) -> float:
        """The metric of all pairs together: a mean over examples, or `reduce` of the summed statistics.

        Raises:
            ValueError: there are no pairs.
        """
        column = self.statistics(predictions, references)
        if not len(column):
            raise DepError(f"{self.name}: no pairs to score")
        return self.of_column(column) if self.statistic_names else float(np.mean(column))


class ModelMetric(Metric):
    """A metric that the model itself measures while it reads the real reviews; it needs no generated text."""

    def score(self, rows: Sequence[Mapping[str, Any]], *, progress: bool = False) -> Sequence[Statistic]:
        """The value that generation has left in each row."""
        return [row[self.name] for row in rows]


def check_pairs(name: str, predictions: Sequence[str], references: Sequence[str]) -> None:
    """Raise ValueError unless there is one reference for each prediction."""
    if len(predictions) != len(references):
        raise DepError(f"{name}: {len(predictions)} predictions against {len(references)} references; give one each")


def track(items: Iterable[T], description: str, total: int, progress: bool) -> Iterable[T]:
    """`items` behind a progress bar with an estimate; unchanged without `progress`, or where there are none."""
    if not (progress and total):
        return items
    from rich.progress import track as rich_track

    return rich_track(items, description, total=total)


def signed(name: str, library: str, **options: object) -> str:
    """`name|option:value|…|library:version`."""
    parts = [name, *(f"{key}:{value}" for key, value in options.items()), f"{library}:{version(library)}"]
    return "|".join(parts)
