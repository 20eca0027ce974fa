"""Two further things that methods ask of a backbone: a user's profile, and how a review differs from its peers'."""

from __future__ import annotations

from dep.data.prompt import PromptBuilder
from dep.records import Request, Slot

PROFILE = "Given the user's past reviews, write a short profile of how and about what the user writes."
DIFFERENCE = (
    "Given a user's review of an item and other users' reviews of the same item, "
    "describe how the user's review differs from the others."
)


def profile_prompt(builder: PromptBuilder, request: Request) -> list[int]:
    """Ids that ask for the profile behind `request.slots` (newest first)."""
    body = [*builder.text("[User's Past Reviews]:\n")]
    for number, slot in enumerate(request.slots, 1):
        body += builder.block(number, slot)[0]
    return builder.chat(PROFILE, body)


def difference_prompt(builder: PromptBuilder, slot: Slot, peers: list[str]) -> list[int]:
    """Ids that ask how the review in `slot` differs from `peers`, the texts of others on the same item."""
    body = [*builder.field("Item Title", slot.item.title), *builder.field("User's Review", slot.review.text)]
    for number, text in enumerate(peers, 1):
        body += builder.field(f"Other Review {number}", text)
    return builder.chat(DIFFERENCE, body)
