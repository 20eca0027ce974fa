"""Finds the positions up to which the keys and values of a prompt can be kept (`backbone.keep_prefixes`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def cut_positions(
    ids: Sequence[int], beginnings: Sequence[Sequence[int]], soft_ids: Collection[int]
) -> tuple[int, ...]:
    """Return the positions up to which other prompts may share this one, and that of the first soft token, increasing.

    Args:
        ids: the prompt.
        beginnings: the ids of texts that the prompt begins with. A tokenizer may merge the end of such a text with
            what follows; the position is then where the ids begin to differ.
        soft_ids: the ids whose embeddings a soft prompt writes. No position lies behind the first of them. In a prompt
            without them no position lies behind the last id, which is read to predict the review.
    """
    soft = next((at for at, token in enumerate(ids) if token in soft_ids), None)
    last = len(ids) - 1 if soft is None else soft
    ends = [*map(lambda text: _common(ids, text), beginnings), *([] if soft is None else [soft])]
    return tuple(sorted({min(end, last) for end in ends} - {0}))


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the common beginning of two sequences."""
    return next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
