"""LPM's slots and soft tokens against loops, and what they depend on."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from dep.data.collate import Collator
from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.settings import PromptConfig
from dep.models.adapters.lpm import LPMAdapter
from dep.models.compressors.settings import NoCompressorConfig
from dep.models.projector import Projector
from dep.models.settings import LPMConfig, ProjectorConfig, SoftPromptConfig
from dep.models.soft_prompt import build_soft_prompt
from dep.types import HIS_SLOT, Batch, Item, Request, UserHistory, UserHistoryBatch

E, W, D, SLOTS, TOKENS = 4, 8, 6, 3, 2


def history_of(length: int, seed: int) -> UserHistory:
    g = torch.Generator().manual_seed(seed)
    his, item, query = (torch.randn(n, E, generator=g) for n in (length, length, 1))
    stars = torch.randint(1, 6, (length,), generator=g).float()
    return UserHistory(his, item, stars, torch.zeros(length), 0, query[0])


def batch_of(*histories: UserHistory) -> Batch:
    ids = torch.zeros(len(histories), 1, dtype=torch.long)
    keys = [str(at) for at in range(len(histories))]
    return Batch(keys, ids, torch.ones_like(ids), ids, user_history=UserHistoryBatch.of(histories))


def tokens(adapter: LPMAdapter, *histories: UserHistory) -> torch.Tensor:
    return adapter(batch_of(*histories)).vectors["user"]


@pytest.fixture
def adapter() -> LPMAdapter:
    torch.manual_seed(0)
    statistics = {"his": (torch.ones(E), torch.full((E,), 2.0))}
    config = LPMConfig(slots=SLOTS, tokens=TOKENS, width=W, heads=1)
    return LPMAdapter(config, E, Projector(ProjectorConfig(), W, D, ["user"], 1.0), statistics).requires_grad_(False)


def test_slots_are_the_perceiver_s_latents_of_standardised_events(adapter: LPMAdapter) -> None:
    history = history_of(3, 1)
    events = []
    for his, item, stars in zip(history.his, history.item, history.rating, strict=True):
        event = adapter.review.weight @ ((his - 1) / 2) + adapter.review.bias
        event = event + adapter.item.weight @ (item * 2) + adapter.item.bias  # 2 is the root of E
        events.append(event + adapter.stars.weight[:, 0] * (stars - 3) / 2 + adapter.stars.bias)
    states = adapter.norm_event(torch.stack(events))[None]
    expected = adapter.perceiver(states, torch.ones(1, 3, dtype=torch.bool))
    assert expected.shape == (1, SLOTS, W)
    assert torch.allclose(adapter.slots(UserHistoryBatch.of([history])), expected, atol=1e-5)


def test_soft_tokens_are_slots_weighted_by_the_request(adapter: LPMAdapter) -> None:
    history = history_of(3, 1)
    slots = adapter.slots(UserHistoryBatch.of([history]))[0]
    w, b = adapter.attention.in_proj_weight.split(W), adapter.attention.in_proj_bias.split(W)
    states, gates = [], []
    for own in adapter.tokens_MW:
        query = adapter.norm_query(own + adapter.request.weight @ (history.query * 2) + adapter.request.bias)
        scores = [float((w[0] @ query + b[0]) @ (w[1] @ slot + b[1])) / math.sqrt(W) for slot in slots]
        gates.append([math.exp(score) / sum(map(math.exp, scores)) for score in scores])
        read = sum(gate * (w[2] @ slot + b[2]) for gate, slot in zip(gates[-1], slots, strict=True))
        states.append(adapter.norm_token(query + adapter.attention.out_proj(read)))
    _, found = adapter.read(slots[None], history.query[None])
    assert torch.allclose(found[0], torch.tensor(gates), atol=1e-5)
    assert torch.allclose(tokens(adapter, history)[0], adapter.projector(torch.stack(states), "user"), atol=1e-5)


def test_another_request_changes_the_soft_tokens_and_not_the_slots(adapter: LPMAdapter) -> None:
    one = history_of(4, 1)
    other = replace(one, query=-one.query)
    assert torch.equal(*(adapter.slots(UserHistoryBatch.of([history])) for history in (one, other)))
    assert not torch.allclose(tokens(adapter, one), tokens(adapter, other), atol=1e-3)


@pytest.mark.parametrize("name", ["his", "item", "rating"])
def test_each_part_of_a_past_review_changes_the_slots(adapter: LPMAdapter, name: str) -> None:
    one = history_of(4, 1)
    other = replace(one, **{name: getattr(one, name) + 1})
    before, after = (adapter.slots(UserHistoryBatch.of([history])) for history in (one, other))
    assert not torch.allclose(before, after, atol=1e-3)


def test_neither_padding_nor_the_order_of_reviews_changes_a_soft_token(adapter: LPMAdapter) -> None:
    short, long = history_of(2, 1), history_of(5, 2)
    assert torch.allclose(tokens(adapter, short, long)[0], tokens(adapter, short)[0], atol=1e-5)
    turned = replace(long, his=long.his.flip(0), item=long.item.flip(0), rating=long.rating.flip(0))
    assert torch.allclose(tokens(adapter, turned), tokens(adapter, long), atol=1e-5)


def test_a_user_without_reviews_gets_finite_tokens(adapter: LPMAdapter) -> None:
    assert torch.isfinite(tokens(adapter, history_of(0, 1), history_of(2, 2))).all()


def test_all_parameters_but_the_projector_s_have_lpm_s_learning_rate_and_slots_are_what_is_stored(
    adapter: LPMAdapter,
) -> None:
    (group,) = adapter.param_groups()
    assert group["lr"] == LPMConfig().lr
    grouped, projector = {id(p) for p in group["params"]}, {id(p) for p in adapter.projector.parameters()}
    assert grouped == {id(p) for p in adapter.parameters()} - projector
    assert adapter.stored_numbers(history_of(9, 1)) == SLOTS * W


def test_a_batch_without_users_is_refused(adapter: LPMAdapter) -> None:
    batch = batch_of(history_of(1, 0))
    batch.user_history = None
    with pytest.raises(ValueError, match=r"batch\.user_history.*prompt\.reads_user_history"):
        adapter(batch)


def test_the_prompt_has_a_place_for_each_soft_token(model, tokenizer) -> None:
    soft_config = SoftPromptConfig(adapter="lpm", branches=["user"], lpm=LPMConfig(tokens=3, width=W, heads=2))
    builder = PromptBuilder(tokenizer, PromptConfig(history=0, reads_user_history=True, user_tokens=3), ["user"])
    request = Request("k", "Books", "u", Item("i", "A thing"), 4.0, "Fine", "It was fine.")
    prompt = builder.build(replace(request, user_history=history_of(2, 1)))
    soft = build_soft_prompt(
        soft_config, NoCompressorConfig(), ProjectorConfig(), width=E, model=model, tokenizer=tokenizer
    )
    batch = Collator(tokenizer.pad_token_id)([prompt])
    out = soft(batch, model.get_input_embeddings()).inputs_embeds
    at = batch.ids == tokenizer.convert_tokens_to_ids(HIS_SLOT)
    assert at.sum() == 3
    assert soft.adapter is not None
    assert torch.allclose(out[at], soft.adapter(batch).vectors["user"][0])
