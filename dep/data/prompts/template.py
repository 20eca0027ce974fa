"""The texts of the prompt in Figure 6 of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dep.data.prompts.settings import ListMarkers, PromptConfig
from dep.types import DIFF_END, DIFF_SLOT, DIFF_START, HIS_END, HIS_SLOT, HIS_START, Branch

SLOT_LINES: dict[Branch, tuple[str, str, str, str]] = {
    "his": ("[Review Embedding]:\n", HIS_START, HIS_SLOT, HIS_END),
    "diff": ("[Review Difference Embedding]:\n", DIFF_START, DIFF_SLOT, DIFF_END),
}
MARKS: dict[ListMarkers, tuple[str, str]] = {"none": ("", ""), "flat": ("- ", "- "), "indented": ("- ", "  - ")}
"""For each setting of `list_markers`: what begins the heading of a past review, and what begins its other lines."""
_DENOTES: dict[Branch, str] = {
    "his": "[Review Embedding] denotes a soft prompt of the review text",
    "diff": "[Review Difference Embedding] denotes a soft prompt showing the difference between the review text and "
    "other reviews on the same item",
}


def slot_tokens(branch: Branch, count: int) -> tuple[str, ...]:
    """Return boundary tokens and, between them, the `count` slot tokens of one vector of `branch`."""
    _, start, slot, end = SLOT_LINES[branch]
    return start, *[slot] * count, end


def slot_line(branch: Branch, config: PromptConfig, count: int = 1) -> tuple[str, ...]:
    """Return the pieces of the lines that hold a vector's `count` soft tokens: heading, boundary and slot tokens."""
    heading, tokens = SLOT_LINES[branch][0], slot_tokens(branch, count)
    mark = MARKS[config.list_markers][1]
    if config.embedding_line == "same":
        return f"{mark}{heading.rstrip()} ", *tokens, "\n"
    return f"{mark}{heading}", *([mark] * bool(mark)), *tokens, "\n"


def system_text(config: PromptConfig, branches: Sequence[Branch]) -> str:
    """Return the system text of Figure 6, which names only the fields and embeddings that the prompt shows.

    With `slots: late` it names no embeddings, so that all arms share one system text.
    """
    if config.slots == "late":
        config, branches = replace(config, slots="inline", user_tokens=0), ()
    embedding = "an embedding of the user, " if config.user_tokens else ""
    if not config.history:
        return (
            f"Given {embedding}the title and description of an item, and the output review rating and review title, "
            "generate an item review for the user."
        )
    shown = ["item title", "item description", "review rating", "review title"]
    shown += ["review text"] * config.text
    shown += ["review embedding"] * ("his" in branches) + ["review difference embedding"] * ("diff" in branches)
    user = "profile and past reviews" if config.profile else "past reviews"
    text = (
        f"Given {embedding}the title and description of an item, along with the user's {user} "
        f"(including {', '.join(shown)}), and the output review rating and review title, "
        "generate a personalized item review for the user."
    )
    if not (config.guidance and branches):
        return text
    names = [SLOT_LINES[b][0].rstrip(":\n") for b in SLOT_LINES if b in branches]
    return (
        f"{text}\nNote: {' and '.join(_DENOTES[b] for b in _DENOTES if b in branches)}. "
        f"{' and '.join(names)} should serve as hints for personalized review text generation."
    )


def shown_branches(config: PromptConfig, branches: Sequence[Branch]) -> tuple[Branch, ...]:
    """Return the branches whose soft tokens the blocks of past reviews hold."""
    return tuple(branch for branch in branches if branch in SLOT_LINES) if config.history else ()
