"""A question to a language model, which a tokenizer can turn into ids and an endpoint can read as text."""

from __future__ import annotations

from dataclasses import dataclass

from dep.types import Slot

Line = str | tuple[str, str]
"""A piece of the template, or a pair (name, value) for the line `[name]: value`, whose value comes from a user or an
item."""


@dataclass(frozen=True)
class ChatRequest:
    """A question: a system text, a beginning, and blocks that may be left out.

    If the question is too long for the model, whole `blocks` are left out, beginning with the last.
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
    """Return the line that shows a rating; no line if the rating is missing (NaN)."""
    return () if rating != rating else ((label, f"{rating:.1f}"),)


def field_line(label: str, value: str) -> tuple[Line, ...]:
    """Return the line that shows a field; no line if it is empty."""
    return ((label, value),) if value.strip() else ()


def review_lines(number: int, slot: Slot, text: bool = True) -> tuple[Line, ...]:
    """Return the lines that show a past review in Figure 6, without lines for soft tokens or missing fields.

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
