"""The questions that PAG and DPL ask a language model: how a review differs from peers', and what the user is like.

The instructions `full` are for models that follow instructions. The instructions `taught` are for the built-in
backbone, which was trained on no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from dep.data.prompts.chat_request import ChatRequest, Line, field_line, review_lines
from dep.types import Slot

Instructions = Literal["full", "taught"]

PROFILE: dict[Instructions, str] = {
    "taught": "Given the user's past reviews, write a short profile of how and about what the user writes.",
    "full": (
        "Given the user's past reviews, write a profile of the user in at most 100 words: what the user cares about in "
        "an item, how the user phrases and builds a review, in what tone, and how generous the ratings are. "
        "Write the profile only."
    ),
}
DIFFERENCE: dict[Instructions, str] = {
    "taught": (
        "Given a user's review of an item and other users' reviews of the same item, "
        "describe how the user's review differs from the others."
    ),
    "full": (
        "Given a user's review of an item and other users' reviews of the same item, describe how the user's review "
        "differs from the others in three aspects: writing (length, structure, wording), emotion (tone, strength, "
        "attitude) and semantics (what the user looks at, what matters to them). Write one or two sentences on each "
        "aspect, beginning with its name, about the user's review only."
    ),
}
UNIQUE_PROFILE: dict[Instructions, str] = {
    "taught": PROFILE["taught"],
    "full": (
        "Given the user's past reviews and how they differ from other users' reviews of the same items, write a "
        "profile of the user in at most 150 words: what sets this user's writing, emotion and interests apart from "
        "other users', and what the user always does. Write the profile only."
    ),
}


def profile_question(slots: Sequence[Slot], instructions: Instructions) -> ChatRequest:
    """Return PAG's question, which asks for a profile of the user who wrote the reviews in `slots` (newest first)."""
    blocks = tuple(review_lines(number, slot) for number, slot in enumerate(slots, 1))
    return ChatRequest(PROFILE[instructions], ("[User's Past Reviews]:\n",), blocks)


def difference_question(slot: Slot, peers: Sequence[str], instructions: Instructions) -> ChatRequest:
    """Return DPL's first question: how the review in `slot` differs from other users' reviews of the item, `peers`."""
    own: tuple[Line, ...] = (("User's Review", slot.review.text),)
    others = (((f"Other Review {number}", text),) for number, text in enumerate(peers, 1))
    return ChatRequest(DIFFERENCE[instructions], field_line("Item Title", slot.item.title), (own, *others))


def unique_profile_question(
    slots: Sequence[Slot], differences: Sequence[str], instructions: Instructions
) -> ChatRequest:
    """Return DPL's second question, which asks for a profile from the reviews in `slots` and their `differences`.

    A difference is a text that answers the first question, or empty if that was not asked.
    """
    blocks = tuple(
        (*review_lines(number, slot), *((("Difference from Other Reviews", difference),) if difference else ()))
        for number, (slot, difference) in enumerate(zip(slots, differences, strict=True), 1)
    )
    return ChatRequest(UNIQUE_PROFILE[instructions], ("[User's Past Reviews]:\n",), blocks)
