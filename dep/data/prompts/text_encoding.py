"""Encodes prompts so that untrusted text (what users and items say) never becomes a special token.

A review may contain the characters `<his_token_start>` or `<|im_end|>`, which a tokenizer turns into one special token.
The options that prevent this differ between tokenizers. One way works for all: cut the text inside each occurrence and
encode the two parts separately. The characters stay, and the token cannot form. A tokenizer that normalises text may
form a special token from other characters; the ids then show where, and the text is cut there too. Apart from these
cuts, the ids are those that the tokenizer gives for the whole text.

Only special and control tokens are prevented. Added tokens for ordinary text, such as line breaks, blanks or letters,
may form anywhere.
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
    """A piece of a prompt. It may contain special tokens if it is `trusted`, that is, part of the template."""

    text: str
    trusted: bool


Parts = tuple[Part, ...]

_ATTEMPTS = 8
"""How often a text is cut again if the tokenizer still forms a special token in it."""
_ANCHORS = (".", "|", "0", "x", "\n")
"""When a piece of a cut text is encoded, one of these texts is put before it, so that the tokenizer adds no blank."""
_LINE_ENDS = tuple(f"{end}\n" for end in (*"aé好7.…!\"),-'_<>:🙂\u200d\n", "]: "))
_LINE_STARTS = ("[Item Title]: x\n", "[Review 12]:\n", "[User's Past Reviews]:\n", "[x")
"""Samples of how lines end and begin. A tokenizer that separates all of these separates all lines of a prompt."""


class TextEncoder:
    """Encodes texts that consist of trusted and untrusted parts, and remembers recent results.

    Args:
        tokenizer: any tokenizer of transformers.
        memo: how many results are remembered.
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
        """Whether a line may be encoded alone if it ends in a line break and the next line begins with a bracket."""
        self.encode = lru_cache(memo)(self._encode)
        self.cut = lru_cache(memo)(self._cut)
        self._skeleton = lru_cache(memo)(self._specials_of)

    def forget(self) -> None:
        """Drop all remembered results, and the words that the tokenizer remembers itself."""
        for memo in (self.encode, self.cut, self._skeleton):
            memo.cache_clear()
        model = getattr(getattr(self._tokenizer, "backend_tokenizer", None), "model", None)
        if clear := getattr(model, "_clear_cache", None):  # BPE and Unigram have one
            clear()

    def encode_lines(self, lines: Sequence[Parts]) -> list[int]:
        """Return the token ids of the text that `lines` form together.

        Each line is encoded alone, and its ids are remembered, if this gives the same ids.

        Args:
            lines: the pieces of the text, in order.
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
        """Estimate how many ids `line` has within a text of several lines."""
        if self.joins_lines:
            return len(self.encode(line))
        return len(self._plain("\n" + "".join(part.text for part in line))) - len(self._plain("\n"))

    def continuation(self, before: str, text: str) -> tuple[int, ...]:
        """Return the ids that the untrusted `text` has after `before`, a piece of the template.

        If the tokenizer merges characters of the two, the ids of `text` alone are returned.
        """
        first, both = self.encode((Part(before, True),)), self.encode((Part(before, True), Part(text, False)))
        return both[len(first) :] if both[: len(first)] == first else self.encode((Part(text, False),))

    def _cut(self, text: str, limit: int) -> str:
        """Return the longest beginning of `text` that ends after a whole word and has at most `limit` tokens.

        If not even the first word fits, the result ends within this word.
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
        """Return whether the tokenizer puts a blank before a text that stands alone, and none after `anchor`."""
        head, alone = self._plain(anchor), self._plain("im")
        both = self._plain(f"{anchor}im")
        return both[: len(head)] == head and both[len(head) :] != alone

    def _splits(self, left: str, right: str) -> bool:
        """Return whether the tokenizer always separates `left` from `right`, so that no token spans both."""
        if self._plain(left + right) != [*self._plain(left), *self._plain(right)]:
            return False
        rules = getattr(getattr(self._tokenizer, "backend_tokenizer", None), "pre_tokenizer", None)
        if rules is None:
            return False
        return any(begin == len(left) for _, (begin, _) in rules.pre_tokenize_str(left + right))

    def _specials_of(self, parts: Parts) -> list[int]:
        """Return the ids of the special tokens in the trusted parts, in order."""
        text = "".join(part.text if part.trusted else "x" for part in parts)
        return [i for i in self._plain(text) if i in self._special]

    def _encode(self, parts: Parts) -> tuple[int, ...]:
        """Return the ids of the text that `parts` form together; untrusted parts contribute no special token."""
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
        """Cut `text` at `cuts`; return each piece, and whether another piece precedes it."""
        edges = [0, *sorted(cuts), len(text)]
        return [(text[a:b], a > 0) for a, b in pairwise(edges) if b > a]

    def _anchor(self, piece: str) -> str:
        """Return one of `_ANCHORS` that neither merges nor forms a special token with the beginning of `piece`."""
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
        """Return each id of `text`, cut at `cuts`, with the begin and end of its characters in `text`."""
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
        """Return the ids of a part.

        Untrusted words that form a special token are encoded letter by letter, so that no special token can form.
        """
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
