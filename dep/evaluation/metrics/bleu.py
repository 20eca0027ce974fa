"""BLEU (Papineni et al., 2002) by sacreBLEU, at corpus level, with 13a tokens and exponential smoothing.

BLEU = BP · exp(¼ Σ_{n=1..4} log p_n) · 100,   BP = min(1, exp(1 − r/c)),   p_n = correct_n / total_n,
and the k-th p_n without a match is 1 / (2^k · total_n)

c -> sys_len, r -> ref_len. All counts are sums over the corpus, so that ten counts are an example's sufficient
statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from dep.evaluation.metrics.base import Array, TextMetric, check_pairs, signed, track
from dep.utils.registry import ComponentConfig

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEUScore

ORDER = 4
_COUNTS = tuple(f"{what}_{n}" for what in ("correct", "total") for n in range(1, ORDER + 1))
STATISTICS = ("sys_len", "ref_len", *_COUNTS)
"""Names of an example's ten counts, in the order of their columns."""


class Bleu(TextMetric):
    """Computes corpus BLEU in [0, 100]; a single example's value is sentence BLEU with sacreBLEU's effective order."""

    name = "bleu"
    label = "BLEU"
    unit = "0 to 100"
    decimals = 2
    order = 40
    statistic_names = STATISTICS

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """The metric bleu has no settings."""

        kind: Literal["bleu"] = "bleu"

    def __init__(self, config: Config | None = None) -> None:
        from sacrebleu.metrics.bleu import BLEU

        super().__init__(config)
        # `force` only silences a warning about texts that end in " .".
        self.scorer = BLEU(tokenize="13a", smooth_method="exp", effective_order=True, force=True)

    @property
    def signature(self) -> str:
        """The signature, with the fields of sacreBLEU's own signature."""
        return signed("bleu", "sacrebleu", nrefs=1, case="mixed", eff="no", tok="13a", smooth="exp")

    def per_example(
        self, predictions: Sequence[str], references: Sequence[str], *, progress: bool = False
    ) -> list[float]:
        """Return sentence BLEU of each pair in [0, 100]; the mean of these values is not corpus BLEU."""
        return [float(score.score) for score in self._sentences(predictions, references, progress)]

    def statistics(
        self, predictions: Sequence[str], references: Sequence[str], *, progress: bool = False
    ) -> list[list[int]]:
        """Return the ten counts of each pair, in the order of STATISTICS."""
        return [
            [int(count) for count in (score.sys_len, score.ref_len, *score.counts, *score.totals)]
            for score in self._sentences(predictions, references, progress)
        ]

    @classmethod
    def reduce(cls, sums: Array) -> Array:
        """Compute corpus BLEU from summed counts [..., 10]; the result has the shape [...]."""
        return bleu_of_sums(sums)

    def _sentences(self, predictions: Sequence[str], references: Sequence[str], progress: bool) -> list[BLEUScore]:
        check_pairs(self.name, predictions, references)
        pairs = track(zip(predictions, references, strict=True), self.name, len(predictions), progress)
        return [self.scorer.sentence_score(text, [reference]) for text, reference in pairs]


def bleu_of_sums(sums: Array) -> Array:
    """Compute corpus BLEU in [0, 100] from summed counts [..., 10], in the order of STATISTICS; its shape is [...].

    The result equals that of `sacrebleu.BLEU.compute_bleu(..., smooth_method="exp")`, but many sums are handled at
    once.
    """
    sys_len, ref_len = sums[..., 0], sums[..., 1]
    correct, total = sums[..., 2 : 2 + ORDER], sums[..., 2 + ORDER :]
    unmatched = correct == 0
    halvings = np.exp2(np.cumsum(unmatched, axis=-1))
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(unmatched, 1 / (halvings * total), correct / total)
        brevity = np.exp(np.minimum(0.0, 1 - ref_len / sys_len))
        score = 100 * brevity * np.exp(np.log(precision).mean(axis=-1))
    # sacreBLEU returns 0 if nothing matches or if the texts are too short for one 4-gram.
    return np.where(unmatched.all(axis=-1) | (total == 0).any(axis=-1), 0.0, score)
