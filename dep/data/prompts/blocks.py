"""Past reviews as they stand in a prompt, each with its lines and vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dep.data.prompts.text_encoding import Parts
from dep.types import Branch, Prompt, Slot


class Block(NamedTuple):
    """A past review in the prompt: index and slot in the request, its lines, and the branches that have a vector.

    `late` is the line of its soft tokens if these stand after all blocks; otherwise `lines` holds them.
    """

    k: int
    slot: Slot
    lines: list[Parts]
    late: list[Parts]
    branches: list[Branch]


def place_vectors(prompt: Prompt, branch: Branch, blocks: Sequence[Block], asked: Sequence[Slot], held: int) -> None:
    """Give a prompt the vectors of one branch, in the order of their slot tokens.

    Args:
        prompt: gets `vectors`, `positions` and `cut_vectors`.
        branch: the kind of vector.
        blocks: the past reviews in the prompt, in order.
        asked: the past reviews that the request asked for.
        held: for how many vectors the prompt holds slot tokens; the slot tokens of later blocks were cut off.
    """
    placed = [block for block in blocks if branch in block.branches][:held]
    if placed:
        prompt.vectors[branch] = [getattr(block.slot, branch) for block in placed]
        prompt.positions[branch] = [block.k for block in placed]
    shown = {block.k for block in placed}
    if cut := [v for k, slot in enumerate(asked) if k not in shown and (v := getattr(slot, branch)) is not None]:
        prompt.cut_vectors[branch] = cut
