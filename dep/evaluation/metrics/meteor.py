"""METEOR (Banerjee and Lavie, 2005) by NLTK, with the parameters of Hugging Face's `evaluate`.

    METEOR = (1 − γ (chunks / m)^β) · P R / (α P + (1 − α) R),   α = 0.9, β = 3, γ = 0.5

    m -> words matched as equal, then by stem, then as WordNet synonyms; P = m / |prediction|,
    R = m / |reference|; chunks -> runs of matches that are adjacent in both texts

`evaluate` splits texts by `nltk.word_tokenize`. This function splits a text into sentences with the Punkt model, which
has to be downloaded, and each sentence into words by NLTK's Treebank rules. The rules separate a full stop only at the
end of their input ("great. I" would keep "great."), which is why sentences come first. This module uses the same rules,
but a regular expression in place of Punkt. Its tokens differ from those of `evaluate` only near abbreviations that one
of the two does not know.

In its third stage NLTK looks up stems, and not words, in WordNet. "movie" therefore has no synonym, as its stem is
"movi", but "film" has one. This module does the same, since published METEOR values include this behaviour.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal

from dep.evaluation.metrics.base import TextMetric, check_pairs, signed, track
from dep.evaluation.wordnet import locate, wordnet
from dep.utils.registry import ComponentConfig

if TYPE_CHECKING:
    from nltk.corpus.reader.wordnet import Synset, WordNetCorpusReader

ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5
ABBREVIATIONS = frozenset("mr mrs ms dr prof st jr sr vs etc e.g i.e vol feat ft approx".split())
_BOUNDARY = re.compile(r"""[.!?]+["'”’)\]]*\s+""")
_LONGEST = 12


def sentences(text: str) -> list[str]:
    """Split a text into sentences: after `.`, `!` or `?` before white space, but not after an abbreviation."""
    result, start = [], 0
    for match in _BOUNDARY.finditer(text):
        before = text[max(start, match.start() - _LONGEST) : match.start()].split()
        word = before[-1].lstrip("\"'“‘([") if before else ""
        initial = len(word) == 1 and word.isupper() and word != "I"
        if not initial and word.lower() not in ABBREVIATIONS:
            result.append(text[start : match.end()].strip())
            start = match.end()
    rest = text[start:].strip()
    return [*result, rest] if rest else result


class Meteor(TextMetric):
    """Computes METEOR in [0, 1] as the mean over examples; it needs WordNet."""

    name = "meteor"
    label = "METEOR"
    order = 30

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """The metric meteor has no settings."""

        kind: Literal["meteor"] = "meteor"

    def __init__(self, config: Config | None = None) -> None:
        from nltk.tokenize import NLTKWordTokenizer

        super().__init__(config)
        self.tokenizer = NLTKWordTokenizer()

    @classmethod
    def check_machine(cls) -> None:
        """Check that WordNet is here.

        Raises:
            MissingFile: it is not.
        """
        locate()

    @cached_property
    def lexicon(self) -> _Lexicon:
        """WordNet and the Porter stemmer, whose results are cached for each word."""
        return _Lexicon(wordnet())

    @property
    def signature(self) -> str:
        """The library, its version and the options that change the value."""
        options = {"alpha": ALPHA, "beta": BETA, "gamma": GAMMA, "case": "lc", "stem": "porter"}
        tokens = "nltk-word[sentences:regex]"
        return signed("meteor", "nltk", **options, tok=tokens, wordnet=self.lexicon.version, agg="mean")

    def tokens(self, text: str) -> list[str]:
        """Split a text into words and punctuation marks."""
        return [token for sentence in sentences(text) for token in self.tokenizer.tokenize(sentence)]

    def per_example(
        self, predictions: Sequence[str], references: Sequence[str], *, progress: bool = False
    ) -> list[float]:
        """Return METEOR of each pair.

        Raises:
            MissingFile: WordNet is not on this machine.
            DepError: the two lists differ in length.
        """
        from nltk.translate.meteor_score import single_meteor_score

        check_pairs(self.name, predictions, references)
        lexicon = self.lexicon
        pairs = track(zip(predictions, references, strict=True), self.name, len(predictions), progress)
        return [
            float(
                single_meteor_score(
                    self.tokens(reference),
                    self.tokens(text),
                    stemmer=lexicon,
                    wordnet=lexicon,
                    alpha=ALPHA,
                    beta=BETA,
                    gamma=GAMMA,
                )
            )
            for text, reference in pairs
        ]


class _Lexicon:
    """The two look-ups that NLTK's METEOR needs (stems and senses), cached for each word."""

    def __init__(self, reader: WordNetCorpusReader) -> None:
        from nltk.stem.porter import PorterStemmer

        self.version = reader.get_version()
        self.stem = lru_cache(maxsize=1 << 18)(PorterStemmer().stem)
        self._synsets = lru_cache(maxsize=1 << 18)(reader.synsets)

    def synsets(self, word: str) -> list[Synset]:
        """Return all WordNet senses of `word`."""
        return list(self._synsets(word))
