"""Cost of a request, against counts by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from dep.data.collate import Collator
from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.settings import PromptConfig
from dep.models.adapters.base import Adapter
from dep.models.adapters.e2p import E2PAdapter
from dep.models.backbones.load import load
from dep.models.compressors.settings import NoCompressorConfig
from dep.models.projector import Projector
from dep.models.settings import BackboneConfig, ProjectorConfig, SoftPromptConfig
from dep.models.soft_prompt import build_soft_prompt
from dep.pipeline.request_cost import request_flops, request_seconds, sample, tokens_flops, user_bytes
from dep.training.module import PersonalizationModule
from dep.training.settings import TrainConfig
from dep.types import Item, Prompt, Request, Review, Slot, UserHistory

ITEM = Item("i", "Lamp", "A lamp.")


def request(text: str, slots: int = 2) -> Request:
    review = Review("u", "i", "It glows.", 4.0, "Bright", 0)
    one = Slot(review, ITEM, torch.ones(10), torch.ones(10))
    return Request("k", "Books", "u", ITEM, 4.0, "Fine", text, (one, replace(one, diff=None))[:slots])


def test_the_stored_bytes_of_a_user_are_those_of_the_request_s_inputs() -> None:
    texts = 2 * len("BrightIt glows.Lamp")
    assert user_bytes(request("x"), text=True, branches=[]) == texts
    assert user_bytes(request("x"), text=True, branches=["his", "diff"]) == texts + 4 * 30
    assert user_bytes(request("x"), text=False, branches=["his"]) == 4 * 20
    assert user_bytes(replace(request("x", 0), profile="äh"), text=True, branches=[]) == 3
    past = UserHistory(torch.ones(5, 10), torch.ones(5, 10), torch.ones(5), torch.ones(5), 0, torch.ones(10))
    reads = replace(request("x", 0), user_history=past)
    assert user_bytes(reads, text=False, branches=["user"], adapter=Adapter()) == 4 * 100
    with_differences = replace(reads, user_history=replace(past, diff=torch.ones(5, 10)))
    assert user_bytes(with_differences, text=False, branches=["user"], adapter=Adapter()) == 4 * 150
    one_mean = E2PAdapter(Projector(ProjectorConfig(), 10, 6, ["user"], 1.0), 10)
    assert user_bytes(reads, text=False, branches=["user"], adapter=one_mean) == 4 * 10


def test_a_sample_is_evenly_spaced_by_length() -> None:
    prompts = [Prompt(str(n), [0] * n, []) for n in range(100)]
    assert [len(p.ids) for p in sample(prompts[::-1])] == [6, 18, 31, 43, 56, 68, 81, 93]
    assert sample(prompts[:3]) == prompts[:3]


def attention(model: Any, tokens: int) -> int:
    shape = model.config
    return 4 * tokens * tokens * shape.hidden_size * shape.num_hidden_layers


def test_operations_are_two_per_weight_and_token_plus_attention() -> None:
    model, tokenizer = load(BackboneConfig())
    body = sum(p.numel() for n, p in model.named_parameters() if "layers" in n and p.dim() == 2)
    head = model.get_output_embeddings().weight.numel()
    for tokens in (1, 50, 700):
        expected = 2 * (tokens * body + head) + attention(model, tokens)
        assert tokens_flops(model, tokens) == pytest.approx(expected, rel=0.01)
    soft = build_soft_prompt(
        SoftPromptConfig(branches=[]), NoCompressorConfig(), ProjectorConfig(), width=1, model=model,
        tokenizer=tokenizer,
    )  # fmt: skip
    module, collate = PersonalizationModule(model, soft, TrainConfig()), Collator(0)
    builder = PromptBuilder(tokenizer, PromptConfig())
    short, long = builder.build(request("It was fine.", 0)), builder.build(request("It was fine.", 2))
    for prompt in (short, long):
        tokens = len(prompt.ids) + len(prompt.target)
        expected = 2 * (body * tokens + head * len(prompt.target)) + attention(model, tokens)
        assert request_flops(module, [prompt], collate) == pytest.approx(expected, rel=0.02)
    assert request_seconds(module, [short, long], collate) > 0
    both = request_flops(module, [short, long], collate)
    assert both == pytest.approx((request_flops(module, [short], collate) + request_flops(module, [long], collate)) / 2)
