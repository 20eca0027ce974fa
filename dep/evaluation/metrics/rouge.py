"""ROUGE (Lin, 2004): F1 of unigrams (`rouge1`) or of the longest common subsequence (`rougeL`).

The library is Google's `rouge_score`, as in Hugging Face's `evaluate`, without stemming, as there by default.
`evaluate` aggregates by the *median of 1,000 bootstrap means*, which is what the paper's tables hold; we
publish the plain mean, and give the other as `aggregate="bootstrap_median"`.
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
    """How ROUGE is counted and aggregated."""

    use_stemmer: bool = False
    """Strip suffixes from words longer than three letters (Porter) before they are compared."""
    aggregate: Literal["mean", "bootstrap_median"] = "mean"
    """`bootstrap_median`: the median of 1,000 bootstrap means, the default of `evaluate`."""
    seed: int = 0
    """Of the bootstrap; `evaluate` leaves it to numpy's global generator."""


class Rouge(TextMetric):
    """ROUGE F1 in [0, 1]."""

    config: RougeConfig

    def __init__(self, config: RougeConfig | None = None) -> None:
        from rouge_score.rouge_scorer import RougeScorer
        from rouge_score.tokenizers import DefaultTokenizer

        super().__init__(config)
        self.tokenizer = DefaultTokenizer(self.config.use_stemmer)
        self.scorer = RougeScorer([self.name], tokenizer=self.tokenizer)

    @property
    def signature(self) -> str:
        """See Metric."""
        stem = "yes" if self.config.use_stemmer else "no"
        resampled = self.config.aggregate == "bootstrap_median"
        how = f"bootstrap_median[1000,seed:{self.config.seed}]" if resampled else "mean"
        return signed(self.name, "rouge-score", value="F1", stem=stem, agg=how)

    def per_example(
        self, predictions: Sequence[str], references: Sequence[str], *, progress: bool = False
    ) -> list[float]:
        """See Metric."""
        check_pairs(self.name, predictions, references)
        pairs = track(zip(predictions, references, strict=True), self.name, len(predictions), progress)
        return [self.f1(text, reference) for text, reference in pairs]

    def f1(self, prediction: str, reference: str) -> float:
        """F1 of one pair."""
        return float(self.scorer.score(reference, prediction)[self.name].fmeasure)

    def corpus(self, predictions: Sequence[str], references: Sequence[str]) -> float:
        """The mean over examples, or its bootstrap median."""
        if self.config.aggregate == "mean":
            return super().corpus(predictions, references)
        return bootstrap_median(self.per_example(predictions, references), self.config.seed)


class Rouge1(Rouge):
    """F1 of unigrams."""

    name = "rouge1"
    label = "ROUGE-1"
    order = 10

    @dataclass(kw_only=True)
    class Config(RougeConfig):
        """Settings of rouge1."""

        kind: Literal["rouge1"] = "rouge1"


class RougeL(Rouge):
    """F1 of the longest common subsequence over the whole text (not by sentence, which is rougeLsum)."""

    name = "rougeL"
    label = "ROUGE-L"
    order = 20

    @dataclass(kw_only=True)
    class Config(RougeConfig):
        """Settings of rougeL."""

        kind: Literal["rougeL"] = "rougeL"

    def f1(self, prediction: str, reference: str) -> float:
        """The library's number, with its tokens, some hundred times faster than its table in Python."""
        from rouge_score.scoring import fmeasure

        ours, theirs = self.tokenizer.tokenize(prediction), self.tokenizer.tokenize(reference)
        if not ours or not theirs:
            return 0.0
        length = common_subsequence(ours, theirs)
        return float(fmeasure(length / len(ours), length / len(theirs)))


def common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence, a row of the table at a time in the bits of one integer.

    Bit i of `row` is 0 where the table steps up between a[:i] and a[:i + 1] (Hyyrö, 2004).
    """
    where: dict[str, int] = {}
    for i, token in enumerate(a):
        where[token] = where.get(token, 0) | 1 << i
    full = row = (1 << len(a)) - 1
    for token in b:
        matched = row & where.get(token, 0)
        row = (row + matched | row - matched) & full
    return len(a) - row.bit_count()


def bootstrap_median(values: Sequence[float], seed: int = 0, n_samples: int = 1000) -> float:
    """The median of `n_samples` bootstrap means, drawn as by `rouge_score` after `np.random.seed(seed)`."""
    column, random = np.asarray(values, dtype=np.float64), np.random.RandomState(seed)
    means = [column[random.choice(len(column), size=len(column))].mean() for _ in range(n_samples)]
    return float(np.median(means))
