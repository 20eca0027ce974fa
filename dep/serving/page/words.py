"""Finds the words that set one group of texts apart from another (Monroe, Colaresi and Quinn, 2008).

    δ_w = log (y_w + α_w) / (n + α_0 - y_w - α_w)  -  log (y'_w + α_w) / (n' + α_0 - y'_w - α_w)
    z_w = δ_w / sqrt( 1 / (y_w + α_w) + 1 / (y'_w + α_w) )

    y_w, n      how often the first texts hold the word w, and all words; y' and n' of the other texts
    α_w         the prior: how often w would stand among α_0 words of both groups together

The prior draws words that were seen a few times towards no difference, so that z is small for them.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|!+|\?+|\.{3,}|…|[\U0001f300-\U0001faff\u2600-\u27bf]")
"""A word, or a mark by which people can be told apart: repeated marks, an ellipsis, an emoji."""
_PRIOR = 100.0
"""α_0, the weight of the prior in words."""


class Word(NamedTuple):
    """A word, its log odds in standard errors, and how often each group has it."""

    word: str
    z: float
    own: int
    others: int


def tokens(texts: Iterable[str]) -> Counter[str]:
    """Count the words of texts, in lower case."""
    return Counter(match.lower() for text in texts for match in TOKEN.findall(text))


def log_odds(own: Iterable[str], others: Iterable[str]) -> list[Word]:
    """Compare the words of two groups of texts.

    Returns:
        All words, the largest z (most typical of `own`) first; none if a group has no words.
    """
    ours, theirs = tokens(own), tokens(others)
    n, m = ours.total(), theirs.total()
    if not n or not m:
        return []
    found = []
    for word in ours | theirs:
        y, x = ours[word], theirs[word]
        prior = _PRIOR * (y + x) / (n + m)
        delta = _logit(y + prior, n + _PRIOR) - _logit(x + prior, m + _PRIOR)
        found.append(Word(word, delta / math.sqrt(1 / (y + prior) + 1 / (x + prior)), y, x))
    return sorted(found, key=lambda one: (-one.z, one.word))


def _logit(part: float, whole: float) -> float:
    return math.log(part) - math.log(max(whole - part, 1e-9))
