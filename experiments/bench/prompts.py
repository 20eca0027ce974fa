"""Building prompts that have to be cut to fit, against tokenising the whole prompt again for each length tried."""

from __future__ import annotations

from dataclasses import replace

from transformers import PreTrainedTokenizerBase

from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.settings import PromptConfig
from dep.data.prompts.text_encoding import TextTokens
from dep.types import Request
from experiments.bench.measure import Case
from experiments.bench.world import backbone, requests

HISTORY = 8
ROOM = 512
"""Tokens: about half of the past reviews fit."""


def rebuilt(tokenizer: PreTrainedTokenizerBase, request: Request) -> list[int]:
    """The longest prompt that fits, found by building and tokenising prompts of ever fewer past reviews."""
    unlimited = PromptConfig(history=HISTORY, max_input_tokens=100_000)
    for history in range(HISTORY, -1, -1):
        builder = PromptBuilder(tokenizer, replace(unlimited, history=history), ["his", "diff"])
        builder._untrusted = TextTokens(tokenizer, memo=0)
        builder._system = PromptBuilder(tokenizer, unlimited, ["his", "diff"])._system
        ids = builder.build(request).ids
        if len(ids) <= ROOM:
            break
    return ids


def case(count: int = 1000) -> Case:
    """`count` requests of a small world."""
    _, tokenizer = backbone()
    asked = requests(HISTORY)[:count]

    def ours() -> list[list[int]]:
        builder = PromptBuilder(tokenizer, PromptConfig(history=HISTORY, max_input_tokens=ROOM), ["his", "diff"])
        return [builder.build(request).ids for request in asked]

    return Case(
        "prompt building", f"{len(asked)} requests, K = {HISTORY} cut to {ROOM} tokens",
        "the whole prompt tokenised again for each number of past reviews tried",
        ours, lambda: [rebuilt(tokenizer, request) for request in asked],
        lambda a, b: a == b, len(asked), "prompts/s", 5,
    )  # fmt: skip
