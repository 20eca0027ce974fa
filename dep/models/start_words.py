"""Words of the frozen LLM from which soft tokens start, so that it first reads plain text (`projector.start: words`).

    soft token j of a vector  =  embedding of word j + what the adapter adds, which is zero before training

A new embedding in a random direction disturbs an instruction-tuned LLM more than a short training can make good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dep.types import DIFF_END, DIFF_START, HIS_END, HIS_START, Branch

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PHRASES: dict[Branch, str] = {
    "his": " words of this review",
    "diff": " differences from other reviews",
    "user": " someone who writes reviews",
}
"""The text of each branch. Its first n tokens serve n soft tokens; longer rows of soft tokens begin it again."""
MARKS = {HIS_START: '"', HIS_END: '"', DIFF_START: "(", DIFF_END: ")"}
"""The text whose last token stands for each boundary token (`soft_prompt.boundary_start: words`)."""


def phrase_ids(tokenizer: PreTrainedTokenizerBase, branch: Branch) -> list[int]:
    """Return the token ids of a branch's phrase."""
    ids: list[int] = tokenizer.encode(PHRASES[branch], add_special_tokens=False)
    return ids


def mark_ids(tokenizer: PreTrainedTokenizerBase, boundary: Sequence[str]) -> list[int]:
    """Return for each of these boundary tokens the id of the ordinary token that stands for it."""
    return [int(tokenizer.encode(MARKS[token], add_special_tokens=False)[-1]) for token in boundary]


@torch.no_grad()
def rows_of(embed: Callable[[Tensor], Tensor], ids: Sequence[int], device: torch.device) -> Tensor:
    """Return the embeddings [N, D] of token ids in float32 on the CPU."""
    return embed(torch.tensor(list(ids), dtype=torch.long, device=device)).float().cpu()


def in_turn(words_WD: Tensor, count: int) -> Tensor:
    """Return `count` rows [count, D]: the words in order, and again from the first."""
    return words_WD[torch.arange(count, device=words_WD.device) % len(words_WD)]
