"""A question to a language model, apart from any tokenizer: the backbone takes its ids, an endpoint its text."""

from __future__ import annotations

from dataclasses import dataclass

from dep.types import Slot

Line = str | tuple[str, str]
"""A piece of the template, or (name, value): `[name]: value`, whose value users or items wrote."""


@dataclass(frozen=True)
class ChatRequest:
    """One chat turn.

    Where it is too long for the model, whole `blocks` are left out, the last ones first.
    """

    system: str
    head: tuple[Line, ...] = ()
    blocks: tuple[tuple[Line, ...], ...] = ()

    @property
    def text(self) -> str:
        """What the user's turn says, as plain text."""
        lines = [*self.head, *(line for block in self.blocks for line in block)]
        return "".join(line if isinstance(line, str) else f"[{line[0]}]: {line[1].strip()}\n" for line in lines)


def review_lines(number: int, slot: Slot, text: bool = True) -> tuple[Line, ...]:
    """Figure 6's block of the past review called `number`, without vectors."""
    review = slot.review
    written = (("Review Text", review.text),) if text else ()
    return (
        f"[Review {number}]:\n",
        ("Item Title", slot.item.title),
        ("Item Description", slot.item.description),
        ("Review Rating", f"{review.rating:.1f}"),
        ("Review Title", review.title),
        *written,
    )
