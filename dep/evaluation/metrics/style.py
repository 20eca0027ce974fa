"""The style score: whether a generated review reads more like its user's past reviews than like other users'.

    score = cos(x, c_u) − mean over other users v of cos(x, c_v)

    x   -> features of the generated text (`style_features`), standardised
    c_u -> the mean of the standardised features of the user's past reviews; c_v of another test user's

It is the Cosine Delta of authorship studies (Smith and Aldridge, 2011) on features that no embedder reads, so that an
arm cannot win by having been given them. Features are standardised over all past reviews of the test users, and cut at
three standard deviations. The other users are those of the same category; where there is none, those of all categories.

Shape suffixes: N examples, M texts, U users, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dep.evaluation.metrics.base import Array, HistoryMetric, Statistic, track
from dep.evaluation.style_features import style_features
from dep.utils.registry import ComponentConfig

_FARTHEST = 3.0


class Style(HistoryMetric):
    """Computes how much nearer a generated text is to its user's past style than to that of other users."""

    name = "style"
    label = "Style"
    unit = "cosine with the user's past reviews less that with other users'"
    order = 55

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """The metric style has no settings."""

        kind: Literal["style"] = "style"

    def __init__(self, config: Config | None = None) -> None:
        super().__init__(config)
        self._known: dict[str, Array] = {}

    @property
    def signature(self) -> str:
        """The features and the formula, with a version that changes with them."""
        return "style|features:words,marks,case,lengths|delta:cosine|others:test users|version:1"

    def score(self, rows: Sequence[Mapping[str, Any]], *, progress: bool = False) -> Sequence[Statistic]:
        """Return the score of each row's `prediction`, given the `past_texts` of all rows.

        A text without words, a request without past reviews, and a run with a single user score 0.
        """
        longest: dict[tuple[str, str], Sequence[str]] = {}
        for row in rows:
            if len(row["past_texts"]) > len(longest.get(who := _who(row), ())):
                longest[who] = row["past_texts"]
        if len(longest) < 2:
            return [0.0] * len(rows)
        texts = sorted({text for past in longest.values() for text in past})
        for text in track(texts, self.name, len(texts), progress):
            if text not in self._known:
                self._known[text] = style_features([text])[0]
        every_MF = np.stack([self._known[text] for past in longest.values() for text in past])
        mean_F, std_F = every_MF.mean(0), every_MF.std(0)
        std_F[std_F < 1e-9] = np.inf  # a feature that is the same everywhere tells nothing

        def standardised(features_MF: Array) -> Array:
            return np.clip((features_MF - mean_F) / std_F, -_FARTHEST, _FARTHEST)

        def centre(past: Sequence[str]) -> Array:
            return _unit(standardised(np.stack([self._known[text] for text in past])).mean(0))

        centres = {who: centre(past) for who, past in longest.items()}
        members: dict[str, list[Array]] = {}
        for (category, _), centre_F in centres.items():
            members.setdefault(category, []).append(centre_F)
        sums = {category: np.sum(found, axis=0) for category, found in members.items()}
        scores = []
        for row in rows:
            features_F = style_features([row["prediction"]])[0]
            if not features_F.any() or not row["past_texts"]:
                scores.append(0.0)
                continue
            x_F, who = _unit(standardised(features_F)), _who(row)
            others_F = sums[who[0]] - centres[who] if len(members[who[0]]) > 1 else sum(sums.values()) - centres[who]
            others = len(members[who[0]]) - 1 or len(centres) - 1
            scores.append(float((centre(row["past_texts"]) - others_F / others) @ x_F))
        return scores


def _who(row: Mapping[str, Any]) -> tuple[str, str]:
    return str(row["category"]), str(row["user"])


def _unit(vector_F: Array) -> Array:
    return np.asarray(vector_F / max(float(np.linalg.norm(vector_F)), 1e-12))
