"""What every text metric is: values per example, and one number for a corpus.

A metric has *sufficient statistics*: numbers kept of each example, from which the metric of any set of
examples follows without a text. They are the value itself for a mean over examples, n-gram counts for BLEU.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import ClassVar, TypeVar

import numpy as np

T = TypeVar("T")
METRIC_NAMES = ("rouge1", "rougeL", "meteor", "bleu", "bertscore", "nll")
"""Every metric of a results file, in the order of its tables. `nll` comes from the model, not from texts."""

LOWER_IS_BETTER = frozenset({"nll"})


class Metric(ABC):
    """One metric of generated texts against one reference each.

    `name` is the column it fills; `signature` says exactly what the number is, in the manner of sacreBLEU.
    """

    name: ClassVar[str]

    @property
    @abstractmethod
    def signature(self) -> str:
        """Library, version and every option that moves the number, joined by `|`."""

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
    ) -> list[float] | list[list[int]]:
        """What a score file keeps of each pair: its value, unless the corpus number needs more."""
        return self.per_example(predictions, references, progress=progress)

    def corpus(self, predictions: Sequence[str], references: Sequence[str]) -> float:
        """The metric on all pairs together: the mean over examples, unless the metric says otherwise."""
        values = self.per_example(predictions, references)
        if not values:
            raise ValueError(f"{self.name}: no pairs to score")
        return float(np.mean(values))


def check_pairs(name: str, predictions: Sequence[str], references: Sequence[str]) -> None:
    """Raise ValueError unless there is one reference for each prediction."""
    if len(predictions) != len(references):
        raise ValueError(f"{name}: {len(predictions)} predictions against {len(references)} references; give one each")


def track(items: Iterable[T], description: str, total: int, progress: bool) -> Iterable[T]:
    """`items` behind a progress bar with an estimate; as they are without `progress`, or where there are none."""
    if not (progress and total):
        return items
    from rich.progress import track as rich_track

    return rich_track(items, description, total=total)


def signed(name: str, library: str, **options: object) -> str:
    """`name|option:value|…|library:version`."""
    parts = [name, *(f"{key}:{value}" for key, value in options.items()), f"{library}:{version(library)}"]
    return "|".join(parts)
