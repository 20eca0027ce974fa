"""ROUGE (Lin, 2004), the F1 of unigrams (`rouge1`) or of the longest common subsequence (`rougeL`).

The values are those of Google's `rouge_score` without stemming, which Hugging Face's `evaluate` uses by default.
`evaluate` then takes the *median of 1,000 bootstrap means*, which the paper's tables show. The default here is the
plain mean; `aggregate="bootstrap_median"` selects the median.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dep.evaluation.metrics.base import TextMetric, check_pairs, signed, track
from dep.utils.registry import ComponentConfig


@dataclass(kw_only=True)
class RougeConfig(ComponentConfig):
    """The settings that rouge1 and rougeL share."""

    use_stemmer: bool = False
    """Whether words of more than three letters are reduced to their Porter stem before they are compared."""
    aggregate: Literal["mean", "bootstrap_median"] = "mean"
    """How the examples' values become one value: their `mean`, or the median of 1,000 bootstrap means (`evaluate`)."""
    seed: int = 0
    """Seed of the bootstrap; `evaluate` uses numpy's global generator instead."""
    bootstraps_before: int = 0
    """How many bootstraps of as many examples draw from the generator first. `evaluate` resamples rouge1, rouge2,
    rougeL and rougeLsum one after another from one generator: 0 for rouge1, 2 for rougeL (the authors' code)."""


class Rouge(TextMetric):
    """The base class of the ROUGE metrics, whose values are F1 in [0, 1]."""

    config: RougeConfig

    def __init__(self, config: RougeConfig | None = None) -> None:
        from rouge_score.rouge_scorer import RougeScorer
        from rouge_score.tokenizers import DefaultTokenizer

        super().__init__(config)
        self.tokenizer = DefaultTokenizer(self.config.use_stemmer)
        self.scorer = RougeScorer([self.name], tokenizer=self.tokenizer)

    @property
    def signature(self) -> str:
        """The library, its version and the options that change the value."""
        stem = "yes" if self.config.use_stemmer else "no"
        resampled = self.config.aggregate == "bootstrap_median"
        before = f",before:{self.config.bootstraps_before}" * bool(self.config.bootstraps_before)
        how = f"bootstrap_median[1000,seed:{self.config.seed}{before}]" if resampled else "mean"
        return signed(self.name, "rouge-score", value="F1", stem=stem, agg=how)

    def per_example(
        self, predictions: Sequence[str], references: Sequence[str], *, progress: bool = False
    ) -> list[float]:
        """Return F1 of each pair."""
        check_pairs(self.name, predictions, references)
        pairs = track(zip(predictions, references, strict=True), self.name, len(predictions), progress)
        return [self.f1(text, reference) for text, reference in pairs]

    def f1(self, prediction: str, reference: str) -> float:
        """Return F1 of one pair of texts."""
        return float(self.scorer.score(reference, prediction)[self.name].fmeasure)

    def corpus(self, predictions: Sequence[str], references: Sequence[str]) -> float:
        """Return the mean over all pairs, or the median of its bootstrap means."""
        if self.config.aggregate == "mean":
            return super().corpus(predictions, references)
        values = self.per_example(predictions, references)
        return bootstrap_median(values, self.config.seed, before=self.config.bootstraps_before)


class Rouge1(Rouge):
    """Computes ROUGE-1, the F1 of unigrams."""

    name = "rouge1"
    label = "ROUGE-1"
    order = 10

    @dataclass(kw_only=True)
    class Config(RougeConfig):
        """Settings of rouge1."""

        kind: Literal["rouge1"] = "rouge1"


class RougeL(Rouge):
    """Computes ROUGE-L, the F1 of the whole texts' longest common subsequence (rougeLsum compares sentences)."""

    name = "rougeL"
    label = "ROUGE-L"
    order = 20

    @dataclass(kw_only=True)
    class Config(RougeConfig):
        """Settings of rougeL."""

        kind: Literal["rougeL"] = "rougeL"

    def f1(self, prediction: str, reference: str) -> float:
        """Return the value of `rouge_score`, but a hundred times faster than its dynamic program in Python."""
        from rouge_score.scoring import fmeasure

        predicted, expected = self.tokenizer.tokenize(prediction), self.tokenizer.tokenize(reference)
        if not predicted or not expected:
            return 0.0
        length = common_subsequence(predicted, expected)
        return float(fmeasure(length / len(predicted), length / len(expected)))


def common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Return the length of the longest common subsequence; the bits of one integer hold a row of the table.

    In this integer, `row`, bit i is 0 if the table's value increases between a[:i] and a[:i + 1] (Hyyrö, 2004).
    """
    positions: dict[str, int] = {}
    for i, token in enumerate(a):
        positions[token] = positions.get(token, 0) | 1 << i
    full = row = (1 << len(a)) - 1
    for token in b:
        matched = row & positions.get(token, 0)
        row = (row + matched | row - matched) & full
    return len(a) - row.bit_count()


def bootstrap_median(values: Sequence[float], seed: int = 0, n_samples: int = 1000, before: int = 0) -> float:
    """Return the median of `n_samples` bootstrap means, which are drawn like those of `rouge_score` with this seed.

    Args:
        values: one number for each example.
        seed: seed of the generator.
        n_samples: number of bootstrap means.
        before: number of bootstraps of other values of the same examples that draw from the generator first.
    """
    column, random = np.asarray(values, dtype=np.float64), np.random.RandomState(seed)
    for _ in range(before * n_samples):
        random.choice(len(column), size=len(column))
    means = [column[random.choice(len(column), size=len(column))].mean() for _ in range(n_samples)]
    return float(np.median(means))
