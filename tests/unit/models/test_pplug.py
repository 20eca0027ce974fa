"""PPlug's user embedding against a loop, and its position in the prompt."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from dep.data.collate import Collator
from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.settings import PromptConfig
from dep.models.adapters.pplug import PPlugAdapter
from dep.models.compressors.settings import NoCompressorConfig
from dep.models.projector import Projector
from dep.models.settings import ProjectorConfig, SoftPromptConfig
from dep.models.soft_prompt import build_soft_prompt
from dep.types import HIS_SLOT, Batch, Item, Request, UserHistory, UserHistoryBatch

E, D = 4, 6


def random_history(length: int, seed: int, width: int = E) -> UserHistory:
    g = torch.Generator().manual_seed(seed)
    his, item = torch.randn(length, width, generator=g), torch.randn(length, width, generator=g)
    return UserHistory(his, item, torch.ones(length), torch.arange(length).float(), 0, torch.randn(width, generator=g))


def batch_of(*histories: UserHistory) -> Batch:
    ids = torch.zeros(len(histories), 1, dtype=torch.long)
    return Batch(
        [str(at) for at in range(len(histories))],
        ids,
        torch.ones_like(ids),
        ids,
        user_history=UserHistoryBatch.of(histories),
    )


@pytest.fixture
def adapter() -> PPlugAdapter:
    torch.manual_seed(0)
    built = PPlugAdapter(
        Projector(ProjectorConfig(), E, D, ["user"], 1.0), E, {"his": (torch.ones(E), torch.full((E,), 2.0))}
    )
    torch.nn.init.normal_(built.query.weight)
    return built


def test_the_user_embedding_is_the_mean_of_the_reviews_weighted_by_the_request(adapter: PPlugAdapter) -> None:
    adapter.requires_grad_(False)
    history = random_history(3, seed=1)
    x = [sum(adapter.query.weight[r][c] * history.query[c] for c in range(E)) for r in range(E)]
    scores = [math.exp(sum(x[c] * history.his[i][c] for c in range(E))) for i in range(3)]
    user = torch.tensor(
        [sum(scores[i] / sum(scores) * (history.his[i][c] - 1.0) / 2.0 for i in range(3)) for c in range(E)]
    )
    expected = torch.stack([adapter.projector(adapter.instruction, "user"), adapter.projector(user, "user")])
    assert torch.allclose(adapter(batch_of(history)).vectors["user"][0], expected, atol=1e-5)


def test_padding_changes_nothing_and_weights_sum_to_one(adapter: PPlugAdapter) -> None:
    short, long = random_history(2, seed=1), random_history(5, seed=2)
    batch = batch_of(short, long)
    alone = adapter(batch_of(short)).vectors["user"][0]
    assert torch.allclose(adapter(batch).vectors["user"][0], alone, atol=1e-6)
    weights = adapter.weights(batch.user_history.his, batch.user_history.query, batch.user_history.present)
    assert torch.allclose(weights.sum(1), torch.ones(2))
    assert (weights[0, 2:] == 0).all()


def test_a_user_without_reviews_gets_a_finite_token(adapter: PPlugAdapter) -> None:
    out = adapter(batch_of(random_history(0, seed=1), random_history(2, seed=2))).vectors["user"]
    assert torch.isfinite(out).all()


def test_a_batch_without_users_is_refused(adapter: PPlugAdapter) -> None:
    batch = batch_of(random_history(1, 0))
    batch.user_history = None
    with pytest.raises(ValueError, match=r"batch\.user_history.*prompt\.user_tokens"):
        adapter(batch)


def test_both_tokens_come_first_in_the_user_s_turn_and_the_rest_is_text(model, tokenizer) -> None:
    builder = PromptBuilder(tokenizer, PromptConfig(history=0, reads_user_history=True, user_tokens=2), ["user"])
    request = Request("k", "Books", "u", Item("i", "A thing", "Its description."), 4.0, "Fine", "It was fine.")
    requests = [request, Request("l", "Books", "v", Item("j", "Other"), 2.0, "Bad", "It was bad, really.")]
    histories = [random_history(3, 1), random_history(1, 2)]
    prompts = [builder.build(replace(r, user_history=p)) for r, p in zip(requests, histories, strict=True)]
    soft = build_soft_prompt(
        SoftPromptConfig(adapter="pplug", branches=["user"]), NoCompressorConfig(), ProjectorConfig(),
        width=E, model=model, tokenizer=tokenizer,
    )  # fmt: skip
    embed = model.get_input_embeddings()
    slot = tokenizer.convert_tokens_to_ids(HIS_SLOT)
    for side in ("left", "right"):
        batch = Collator(tokenizer.pad_token_id, side)(prompts)
        out = soft(batch, embed).inputs_embeds
        at = batch.ids == slot
        assert at.sum(1).tolist() == [2, 2]
        assert torch.allclose(out[at].reshape(2, 2, -1), soft.adapter(batch).vectors["user"])
        assert torch.equal(out[~at], embed(batch.ids)[~at])
    text = tokenizer.decode(prompts[0].ids)
    assert text.index("[User Embedding]") < text.index("[Item Title]")
    assert "Given an embedding of the user" in text
