"""Benchmark of building prompts that must be cut to a limit, against tokenising each candidate prompt as a whole."""

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
LIMIT = 512
"""Token limit of a prompt; about half of the past reviews fit."""


def rebuilt(tokenizer: PreTrainedTokenizerBase, request: Request) -> list[int]:
    """Return the longest prompt that fits, found by tokenising prompts with fewer and fewer past reviews."""
    unlimited = PromptConfig(history=HISTORY, max_input_tokens=100_000)
    for history in range(HISTORY, -1, -1):
        builder = PromptBuilder(tokenizer, replace(unlimited, history=history), ["his", "diff"])
        builder._untrusted = TextTokens(tokenizer, memo=0)
        builder._system = PromptBuilder(tokenizer, unlimited, ["his", "diff"])._system
        ids = builder.build(request).ids
        if len(ids) <= LIMIT:
            break
    return ids


def case(count: int = 1000) -> Case:
    """Benchmark `count` requests of a small world."""
    _, tokenizer = backbone()
    sample = requests(HISTORY)[:count]

    def ours() -> list[list[int]]:
        builder = PromptBuilder(tokenizer, PromptConfig(history=HISTORY, max_input_tokens=LIMIT), ["his", "diff"])
        return [builder.build(request).ids for request in sample]

    return Case(
        "prompt building", f"{len(sample)} requests, K = {HISTORY} cut to {LIMIT} tokens",
        "the whole prompt tokenised again for each number of past reviews tried",
        ours, lambda: [rebuilt(tokenizer, request) for request in sample],
        lambda a, b: a == b, len(sample), "prompts/s", 5,
    )  # fmt: skip
