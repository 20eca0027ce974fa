"""Token ids of a prompt as the tokenizer gives them for the whole text, with no special token in untrusted text.

A review may contain the characters `<his_token_start>` or `<|im_end|>`, which a tokenizer turns into one special token.
The switches that prevent this differ between tokenizers. Cutting the text inside each occurrence and encoding the two
parts separately works for all tokenizers: the characters stay, and the token cannot form. A tokenizer that normalises
may form a special token from other characters. Its place is then found by the ids, and the text is cut there too.

Only special and control tokens are reserved. Added tokens that stand for ordinary text, such as line breaks, blanks or
letters, are used as the tokenizer uses them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from dep.data.prompts.reserved_tokens import occurrences, reserved_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Part(NamedTuple):
    """A piece of a prompt. Special tokens in it are meant if it is `trusted`, that is, part of the template."""

    text: str
    trusted: bool


Parts = tuple[Part, ...]

_ATTEMPTS = 8
"""How often a text is cut again because the tokenizer still forms a special token in it."""
_ANCHORS = (".", "|", "0", "x", "\n")
"""Texts that a later piece of a text is encoded behind, so that the tokenizer puts no blank before the piece."""
_LINE_ENDS = tuple(f"{end}\n" for end in (*"aé好7.…!\"),-'_<>:🙂\u200d\n", "]: "))
_LINE_STARTS = ("[Item Title]: x\n", "[Review 12]:\n", "[User's Past Reviews]:\n", "[x")
"""Ends and beginnings of lines. If a tokenizer cuts between all of these, it does so between all lines of a prompt."""


class TextEncoder:
    """Encodes texts of trusted and untrusted parts; what was encoded lately is remembered.

    Args:
        tokenizer: any tokenizer of transformers.
        memo: how many texts are remembered.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, memo: int = 200_000) -> None:
        self._tokenizer = tokenizer
        tokens = reserved_tokens(tokenizer)
        self._occurrence = occurrences(tokens) if tokens else None
        # Unknown characters become the unknown token, which is no danger unless it has another meaning too.
        used = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
        self._special = frozenset(tokens.values()) - ({tokenizer.unk_token_id} - used)
        self._anchors = [anchor for anchor in _ANCHORS if self._adds_blank(anchor)]
        self.joins_lines = all(self._splits(end, start) for end in _LINE_ENDS for start in _LINE_STARTS)
        """Whether a text's ids are those of its lines, where a line ends in a line break and the next begins with [."""
        self.encode = lru_cache(memo)(self._encode)
        self.cut = lru_cache(memo)(self._cut)
        self._skeleton = lru_cache(memo)(self._specials_of)

    def encode_lines(self, lines: Sequence[Parts]) -> list[int]:
        """Token ids of the joined text of `lines`. Lines are encoded one by one, and cached, if the ids are the same.

        Args:
            lines: pieces of the text, in order.
        """
        units: list[list[Parts]] = []
        for line in lines:
            follows = self.joins_lines and line[0].text.startswith("[")
            if not units or (follows and units[-1][-1][-1].text.endswith("\n")):
                units.append([line])
            else:
                units[-1].append(line)
        single = (self.encode(unit[0]) if len(unit) == 1 else self._encode(sum(unit, ())) for unit in units)
        return [i for ids in single for i in ids]

    def length(self, line: Parts) -> int:
        """How many ids `line` has within a text of several lines; near enough to choose what fits."""
        if self.joins_lines:
            return len(self.encode(line))
        return len(self._plain("\n" + "".join(part.text for part in line))) - len(self._plain("\n"))

    def continuation(self, before: str, text: str) -> tuple[int, ...]:
        """Ids of the untrusted `text` where it follows `before`, a piece of the template.

        If the tokenizer merges the two, the ids of `text` alone are returned.
        """
        first, both = self.encode((Part(before, True),)), self.encode((Part(before, True), Part(text, False)))
        return both[len(first) :] if both[: len(first)] == first else self.encode((Part(text, False),))

    def _cut(self, text: str, limit: int) -> str:
        """The longest beginning of `text` in whole words that has at most `limit` tokens.

        If not even the first word fits, it is cut between characters.
        """
        if len(text.encode("utf-8", "surrogatepass")) < limit or len(self._plain(text)) <= limit:
            return text

        def tokens(end: int) -> int:
            return len(self._plain(text[:end]))

        ends = [word.end() for word in re.finditer(r"\S+", text)]
        words = bisect_right(ends, limit, key=tokens)
        if not words:
            ends = list(range(1, ends[0] + 1)) if ends else []
            words = bisect_right(ends, limit, key=tokens)
        return text[: ends[words - 1]] if words else ""

    def _plain(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False, verbose=False)
        return ids

    def _adds_blank(self, anchor: str) -> bool:
        """Whether the tokenizer puts a blank before a text, and none where the text follows `anchor`."""
        head, alone = self._plain(anchor), self._plain("im")
        both = self._plain(f"{anchor}im")
        return both[: len(head)] == head and both[len(head) :] != alone

    def _splits(self, left: str, right: str) -> bool:
        """Whether the tokenizer cuts between `left` and `right` before it looks for tokens."""
        if self._plain(left + right) != [*self._plain(left), *self._plain(right)]:
            return False
        rules = getattr(getattr(self._tokenizer, "backend_tokenizer", None), "pre_tokenizer", None)
        if rules is None:
            return False
        return any(begin == len(left) for _, (begin, _) in rules.pre_tokenize_str(left + right))

    def _specials_of(self, parts: Parts) -> list[int]:
        """Special ids that the trusted parts hold, in order."""
        text = "".join(part.text if part.trusted else "x" for part in parts)
        return [i for i in self._plain(text) if i in self._special]

    def _encode(self, parts: Parts) -> tuple[int, ...]:
        """Ids of the text that `parts` form. None of them is a special token of an untrusted part."""
        text = "".join(part.text for part in parts)
        if all(part.trusted for part in parts):
            return tuple(self._plain(text))
        ends = [0]
        for part in parts:
            ends.append(ends[-1] + len(part.text))
        untrusted = [span for span, part in zip(pairwise(ends), parts, strict=True) if not part.trusted]
        occurrences = self._occurrence.finditer(text) if self._occurrence else ()
        spans = [(match.start(), match.start() + len(match[1])) for match in occurrences]
        cuts = {begin + 1 for begin, end in spans if _overlaps(begin, end, untrusted)}
        allowed = self._skeleton(tuple(part if part.trusted else Part("", False) for part in parts))
        for _ in range(_ATTEMPTS):
            ids = [i for piece, inner in self._pieces(text, cuts) for i in self._continued(piece, inner)]
            if [i for i in ids if i in self._special] == allowed:
                return tuple(ids)
            if not self._tokenizer.is_fast:
                break
            formed = [(b, e) for i, b, e in self._placed(text, cuts) if self._is_formed(i, b, e, untrusted)]
            if not formed or all(begin + 1 in cuts or end - begin < 2 for begin, end in formed):
                break
            cuts |= {begin + 1 for begin, end in formed if end - begin > 1}
        if self._tokenizer.is_fast:  # a single character that the tokenizer turns into a special token is left out
            return tuple(i for i, b, e in self._placed(text, cuts) if not self._is_formed(i, b, e, untrusted))
        kept = tuple(part if part.trusted else Part(self._without_special_letters(part.text), False) for part in parts)
        return self._encode(kept) if kept != parts else tuple(i for part in parts for i in self._spelled(part))

    def _is_formed(self, i: int, begin: int, end: int, untrusted: Sequence[tuple[int, int]]) -> bool:
        return i in self._special and _overlaps(begin, end, untrusted)

    def _pieces(self, text: str, cuts: set[int]) -> list[tuple[str, bool]]:
        """`text` cut at `cuts`, and whether each piece continues one before it."""
        edges = [0, *sorted(cuts), len(text)]
        return [(text[a:b], a > 0) for a, b in pairwise(edges) if b > a]

    def _anchor(self, piece: str) -> str:
        """An anchor that neither merges with the beginning of `piece` nor forms a special token with it."""
        for anchor in self._anchors:
            head = self._plain(anchor)
            occurrence = self._occurrence.match(anchor + piece) if self._occurrence else None
            if occurrence is None and self._plain(anchor + piece)[: len(head)] == head:
                return anchor
        return ""

    def _continued(self, piece: str, inner: bool) -> list[int]:
        anchor = self._anchor(piece) if inner else ""
        return self._plain(anchor + piece)[len(self._plain(anchor)) if anchor else 0 :]

    def _placed(self, text: str, cuts: set[int]) -> list[tuple[int, int, int]]:
        """The ids of `text` cut at `cuts`, each with the begin and end of its characters."""
        placed, start = [], 0
        for piece, inner in self._pieces(text, cuts):
            anchor = self._anchor(piece) if inner else ""
            coded = self._tokenizer(
                anchor + piece, add_special_tokens=False, return_offsets_mapping=True, verbose=False
            )
            shift, skip = start - len(anchor), len(self._plain(anchor)) if anchor else 0
            both = list(zip(coded["input_ids"], coded["offset_mapping"], strict=True))[skip:]
            placed += [(i, begin + shift, end + shift) for i, (begin, end) in both]
            start += len(piece)
        return placed

    def _without_special_letters(self, text: str) -> str:
        """`text` without the letters that a slow tokenizer turns into a special token, such as unknown ones."""
        special = {letter for letter in set(text) if not self._special.isdisjoint(self._plain(letter))}
        return "".join(letter for letter in text if letter not in special)

    def _spelled(self, part: Part) -> list[int]:
        """Ids of a part; untrusted words that form a special token are spelled, since letters form none."""
        if part.trusted:
            return self._plain(part.text)
        ids: list[int] = []
        for word in re.findall(r"\s*\S+|\s+$", part.text):
            whole = self._continued(word, True)
            letters = (i for letter in word for i in self._continued(letter, True) if i not in self._special)
            ids += whole if self._special.isdisjoint(whole) else letters
        return ids


def _overlaps(begin: int, end: int, spans: Sequence[tuple[int, int]]) -> bool:
    return any(begin < last and first < end for first, last in spans)
