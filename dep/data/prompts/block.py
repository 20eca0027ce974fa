"""A past review as a prompt shows it."""

from __future__ import annotations

from typing import NamedTuple

from dep.data.prompts.text_encoding import Parts
from dep.types import Branch, Slot


class Block(NamedTuple):
    """A past review in the prompt: index and slot in the request, its lines, and the branches that have a vector.

    `late` is the line of its soft tokens if these stand after all blocks; otherwise `lines` holds them.
    """

    k: int
    slot: Slot
    lines: list[Parts]
    late: list[Parts]
    branches: list[Branch]
