"""Tokenises text of users and items, which can never become a special token.

A review may contain the characters `<his_token_start>` or `<|im_end|>`. A tokenizer turns them into one added token,
and the switches that prevent this differ between tokenizers. Cutting the string inside each occurrence and encoding the
two parts separately works for all tokenizers: the characters stay, and the token cannot form.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class TextTokens:
    """Encodes untrusted text. A text is tokenised once while it stays in the memo.

    Args:
        tokenizer: any tokenizer of transformers.
        memo: how many texts are remembered.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, memo: int = 200_000) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.get_added_vocab()
        self._reserved = frozenset(added.values())
        longest_first = sorted((token for token in added if token), key=len, reverse=True)
        self._occurrence = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        self.encode = lru_cache(memo)(self._encode)

    def _plain(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids

    def _encode(self, text: str) -> tuple[int, ...]:
        """Ids of `text`, none of which is an added token."""
        cuts = [m.start() + 1 for m in self._occurrence.finditer(text)] if self._occurrence else []
        edges = [0, *cuts, len(text)]
        ids = [i for a, b in pairwise(edges) for i in self._plain(text[a:b])]
        if self._reserved.isdisjoint(ids):
            return tuple(ids)
        # A tokenizer that normalises can form a token that is not in the raw text. Single letters cannot form one.
        ids = [i for letter in text for i in self._plain(letter) if i not in self._reserved]
        return tuple(ids)
