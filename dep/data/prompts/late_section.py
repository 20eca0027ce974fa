"""The lines of a prompt that hold all soft tokens after the past reviews (`prompt.slots: late`).

    [Review Embeddings and Differences]:
    <his_token_start><his_slot><his_token_end><diff_token_start><diff_slot><diff_token_end>      of the newest review
    <his_token_start><his_slot><his_token_end>                                                   of one without peers

With `guidance`, a note before the heading says what the embeddings denote; the system text does not name them.
"""

from __future__ import annotations

from collections.abc import Sequence

from dep.data.prompts.template import SLOT_LINES, slot_tokens
from dep.data.prompts.text_encoding import Part, Parts
from dep.types import HIS_END, HIS_START, SLOT_TOKENS, Branch

_HEADINGS: dict[tuple[Branch, ...], str] = {
    ("his",): "[Review Embeddings]:\n",
    ("diff",): "[Review Difference Embeddings]:\n",
    ("his", "diff"): "[Review Embeddings and Differences]:\n",
}
_HOLDS: dict[Branch, str] = {
    "his": "a soft prompt of the review text",
    "diff": "a soft prompt showing the difference between the review text and other reviews on the same item",
}


def late_heading(branches: Sequence[Branch], guidance: bool) -> list[Parts]:
    """The lines above the soft tokens of past reviews; none without branches.

    Args:
        branches: which embeddings the lines hold.
        guidance: whether a note says what they denote.
    """
    named = tuple(branch for branch in SLOT_LINES if branch in branches)
    if not named:
        return []
    note = (
        "[Note]: For each of these reviews, newest first, a line below holds "
        f"{' and '.join(_HOLDS[branch] for branch in named)}, as hints for personalized review text generation.\n"
    )
    return [(Part(text, True),) for text in ([note] * guidance + [_HEADINGS[named]])]


def late_line(branches: Sequence[Branch], count: int = 1) -> list[Parts]:
    """The line of one past review, with `count` soft tokens of each of these branches; none without any."""
    pieces = ["".join(slot_tokens(branch, count)) for branch in SLOT_LINES if branch in branches]
    return [(Part("".join([*pieces, "\n"]), True),)] if pieces else []


def user_lines(count: int) -> list[Parts]:
    """The lines of `count` soft tokens of a user's whole history; none for zero."""
    slots = SLOT_TOKENS["user"] * count
    return [(Part(f"[User Embedding]:\n{HIS_START}{slots}{HIS_END}\n", True),)] if count else []
