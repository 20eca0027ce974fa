"""A question to a language model, independent of any tokenizer: the backbone takes its ids, an endpoint its text."""

from __future__ import annotations

from dataclasses import dataclass

from dep.types import Slot

Line = str | tuple[str, str]
"""A piece of the template, or (name, value) for the line `[name]: value`, whose value was written by a user or comes
from an item."""


@dataclass(frozen=True)
class ChatRequest:
    """One chat turn.

    If the turn is too long for the model, whole `blocks` are left out, beginning with the last.
    """

    system: str
    head: tuple[Line, ...] = ()
    blocks: tuple[tuple[Line, ...], ...] = ()

    @property
    def text(self) -> str:
        """The user's message as plain text."""
        lines = [*self.head, *(line for block in self.blocks for line in block)]
        return "".join(line if isinstance(line, str) else f"[{line[0]}]: {line[1].strip()}\n" for line in lines)


def rating_line(label: str, rating: float) -> tuple[Line, ...]:
    """The line of a rating; none for a missing one (NaN)."""
    return () if rating != rating else ((label, f"{rating:.1f}"),)


def field_line(label: str, value: str) -> tuple[Line, ...]:
    """The line of a field; none for an empty one."""
    return ((label, value),) if value.strip() else ()


def review_lines(number: int, slot: Slot, text: bool = True) -> tuple[Line, ...]:
    """Lines of Figure 6's block of a past review, without the lines that hold vectors; a missing field has no line.

    Args:
        number: the number that the block's heading shows, from 1.
        slot: the past review.
        text: whether the block holds the review's text.
    """
    review = slot.review
    text_lines = (("Review Text", review.text),) if text else ()
    return (
        f"[Review {number}]:\n",
        *field_line("Item Title", slot.item.title),
        *field_line("Item Description", slot.item.description),
        *rating_line("Review Rating", review.rating),
        *field_line("Review Title", review.title),
        *text_lines,
    )
