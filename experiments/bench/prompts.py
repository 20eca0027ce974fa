"""Benchmarks building prompts that must be cut to a limit against tokenising each candidate prompt as a whole."""

from __future__ import annotations

from dataclasses import replace

from transformers import PreTrainedTokenizerBase

from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.settings import PromptConfig
from dep.data.prompts.text_encoding import TextEncoder
from dep.types import Request
from experiments.bench.measure import Case
from experiments.bench.world import backbone, requests

HISTORY = 8
LIMIT = 512
"""Token limit of a prompt; about half of the past reviews fit."""


def rebuilt(tokenizer: PreTrainedTokenizerBase, encoder: TextEncoder, request: Request) -> list[int]:
    """Return the longest prompt that fits, found by tokenising prompts with fewer and fewer past reviews."""
    unlimited = PromptConfig(history=HISTORY, max_input_tokens=100_000, max_review_tokens=None)
    for history in range(HISTORY, -1, -1):
        builder = PromptBuilder(tokenizer, replace(unlimited, history=history), ["his", "diff"])
        builder._encoder = encoder
        builder._system = PromptBuilder(tokenizer, unlimited, ["his", "diff"])._system
        ids = builder.build(request).ids
        if len(ids) <= LIMIT:
            break
    return ids


def case(count: int = 1000) -> Case:
    """Benchmark `count` requests of a small world."""
    _, tokenizer = backbone()
    sample, encoder = requests(HISTORY)[:count], TextEncoder(tokenizer, memo=0)

    def ours() -> list[list[int]]:
        config = PromptConfig(history=HISTORY, max_input_tokens=LIMIT, max_review_tokens=None)
        builder = PromptBuilder(tokenizer, config, ["his", "diff"])
        return [builder.build(request).ids for request in sample]

    return Case(
        "prompt building", f"{len(sample)} requests, K = {HISTORY} cut to {LIMIT} tokens",
        "the whole prompt tokenised again for each number of past reviews tried",
        ours, lambda: [rebuilt(tokenizer, encoder, request) for request in sample],
        lambda a, b: a == b, len(sample), "prompts/s", 5,
    )  # fmt: skip
