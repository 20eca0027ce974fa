"""Finds the tokens that texts of users and items must never form."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from dep.types import SPECIAL_TOKENS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_CONTROL = re.compile(r"<[|｜].+[|｜]>", re.DOTALL)
"""Added tokens of this form control a chat, although some tokenizers do not mark them as special."""
_BRACKETED = re.compile(r"<[^<>\s]+>|\[[^\[\]\s]+\]")
"""Added tokens of this form control a chat if the chat template contains them, or contains their start or end tag."""


def reserved_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """Return the ids of the tokens that untrusted text must not form, by the token's text.

    Args:
        tokenizer: any tokenizer of transformers.

    Returns:
        The tokens that the tokenizer marks as special, those that it uses (begin, end, padding, ...), those of
        `dep.types.SPECIAL_TOKENS`, and added tokens that control a chat.
    """
    template = str(tokenizer.chat_template or "").replace("/", "")
    named = {str(token) for token in (*tokenizer.all_special_tokens, *SPECIAL_TOKENS)}

    def controls(text: str, special: bool) -> bool:
        tag = _BRACKETED.fullmatch(text) and text.replace("/", "") in template
        return special or text in named or bool(_CONTROL.fullmatch(text) or tag)

    added = tokenizer.added_tokens_decoder.items()
    chosen = {str(token): at for at, token in added if controls(str(token), token.special)}
    vocabulary = tokenizer.get_vocab()
    chosen |= {token: vocabulary[token] for token in named if token in vocabulary}
    return {token: at for token, at in chosen.items() if token and not token.isspace()}


def occurrences(tokens: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern that matches wherever one of `tokens` begins; its group 1 is the longest token there."""
    by_first: dict[str, list[str]] = {}
    for token in sorted(tokens, key=len, reverse=True):
        by_first.setdefault(token[0], []).append(re.escape(token[1:]))
    return re.compile("(?=(" + "|".join(f"{re.escape(c)}(?:{'|'.join(rest)})" for c, rest in by_first.items()) + "))")
