"""Computes the statistics of the paper's Table 4: the number of examples and the lengths of profiles and outputs."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from dep.types import Corpus, Example, Split


@dataclass(frozen=True)
class CorpusStatistics:
    """Numbers of reviews, users and items of one category."""

    category: str
    users: int
    items: int
    reviews: int


@dataclass(frozen=True)
class SplitStatistics:
    """A row of Table 4: profile sizes in reviews, output lengths in characters, and standard deviations (`sd`)."""

    split: Split
    category: str
    """The category's name, or `all` for all categories together."""
    examples: int
    profile_mean: float
    profile_sd: float
    output_mean: float
    output_sd: float


@dataclass(frozen=True)
class Statistics:
    """The statistics of all corpora and all splits."""

    corpora: list[CorpusStatistics]
    splits: list[SplitStatistics]


def statistics_of(corpora: dict[str, Corpus], examples: list[Example]) -> Statistics:
    """Compute the statistics as in Table 4: train and val over all categories together, test for each category.

    Args:
        corpora: the filtered corpora by category.
        examples: the examples.

    Returns:
        One entry for each category, and one for each split that has examples.
    """
    sizes = [
        CorpusStatistics(name, len({r.user for r in corpus.reviews}), len(corpus.items), len(corpus.reviews))
        for name, corpus in corpora.items()
    ]
    groups: list[tuple[Split, str, list[Example]]] = [
        (split, "all", [e for e in examples if e.split == split]) for split in ("train", "val")
    ]
    groups += [("test", name, [e for e in examples if (e.split, e.category) == ("test", name)]) for name in corpora]
    return Statistics(sizes, [_row(split, name, group, corpora) for split, name, group in groups if group])


def _row(split: Split, category: str, examples: list[Example], corpora: dict[str, Corpus]) -> SplitStatistics:
    profiles = [len(example.profile) for example in examples]
    outputs = [len(corpora[example.category].reviews[example.row].text) for example in examples]
    return SplitStatistics(
        split,
        category,
        len(examples),
        statistics.fmean(profiles),
        statistics.pstdev(profiles),
        statistics.fmean(outputs),
        statistics.pstdev(outputs),
    )
