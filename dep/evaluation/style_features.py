"""Features of writing style that no embedder of the package reads: words, marks, case and lengths, and no characters.

A text becomes a row of numbers: how often each of the commonest English function words and each mark occurs, how much
is in upper case, and how long words and sentences are. Shares of rare events enter as their square roots, so that one
more occurrence counts as much in a rare feature as in a frequent one.

Shape suffixes: N texts, F features.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FUNCTION_WORDS = tuple(
    """a about after again all also although always am an and another any are around as at away back be because been
    before being best better but by can can't could did didn't do does doesn't doing don't down each either else enough
    even ever every few first for from get give go got had has have having he her here him his how however i i'd i'll
    i'm i've if in into is isn't it it's its just like little lot made make many may me might more most much must my
    never no nor not nothing now of off often on once one only or other our out over own perhaps put quite rather really
    same say see she should since so some something still such take than that that's the their them then there these
    they thing things this those though through to too under until up upon us very was wasn't way we well were what when
    where which while who whole why will with within without won't would yes yet you your""".split()
)
"""English words that tell little of a text's subject."""
MARKS = tuple(".,!?;:'\"()-–—…/&*$%+#[]=")
_RUNS = (re.compile(r"\.{2,}"), re.compile(r"[!?]{2,}"), re.compile(r"\n\s*\n"), re.compile(r" {2,}"))
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_SENTENCE_END = re.compile(r"[.!?…]+[\"')\]]*\s+|\n+")
_LONGEST_WORD = 10
_SENTENCE_LENGTHS = (5, 10, 20, 40)


def style_features(texts: Sequence[str]) -> Array:
    """Return the features [N, F] of N texts; a text without words has only zeros."""
    return np.array([_features(text.replace("’", "'")) for text in texts], dtype=np.float64)


def _features(text: str) -> list[float]:
    words = _WORD.findall(text)
    width = len(FUNCTION_WORDS) + len(MARKS) + len(_RUNS) + 2 + 4 + _LONGEST_WORD + len(_SENTENCE_LENGTHS) + 3
    if not words:
        return [0.0] * width
    of_word, of_mark = Counter(word.lower() for word in words), Counter(text)
    known = [sqrt(of_word[word] / len(words)) for word in FUNCTION_WORDS]
    marks = [sqrt(of_mark[mark] / len(text)) for mark in MARKS]
    runs = [sqrt(len(run.findall(text)) / len(text)) for run in _RUNS]
    digits = sqrt(sum(character.isdigit() for character in text) / len(text))
    symbols = sqrt(sum(ord(c) > 0x2190 for c in text) / len(text))  # arrows, symbols and emoji
    sentences = [found for part in _SENTENCE_END.split(text) if (found := _WORD.findall(part))]
    letters = sum(map(len, words))
    case = [
        sqrt(sum(character.isupper() for word in words for character in word) / letters),
        sqrt(sum(len(word) > 1 and word.isupper() for word in words) / len(words)),
        sqrt(sum(found[0][0].islower() for found in sentences) / len(sentences)),
        sqrt(sum(word == "i" for word in words) / len(words)),
    ]
    lengths = Counter(min(len(word), _LONGEST_WORD) for word in words)
    word_lengths = [sqrt(lengths[length] / len(words)) for length in range(1, _LONGEST_WORD + 1)]
    counts = [len(found) for found in sentences]
    bounds = (0, *_SENTENCE_LENGTHS, 10**9)
    shares = [sum(low < n <= high for n in counts) / len(counts) for low, high in pairwise(bounds)]
    means = [log(letters / len(words)), log(sum(counts) / len(counts))]
    return [*known, *marks, *runs, digits, symbols, *case, *word_lengths, *map(sqrt, shares), *means]
