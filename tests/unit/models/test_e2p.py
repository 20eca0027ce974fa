"""E2P's soft token against a mean by hand, and its place in the prompt."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dep.data.collate import Collator
from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.settings import PromptConfig
from dep.models.adapters.e2p import E2PAdapter
from dep.models.compressors.settings import NoCompressorConfig
from dep.models.projector import Projector
from dep.models.settings import LPMConfig, ProjectorConfig, SoftPromptConfig
from dep.models.soft_prompt import build_soft_prompt
from dep.models.start_words import phrase_ids
from dep.types import HIS_SLOT, Batch, Item, Request, Review, Slot, UserHistory, UserHistoryBatch

E, D = 2, 6


def history_of(*reviews: list[float]) -> UserHistory:
    his, count = torch.tensor(reviews).view(-1, E), torch.zeros(len(reviews))
    return UserHistory(his, his, count, count, 0, torch.zeros(E))


def batch_of(*histories: UserHistory) -> Batch:
    ids = torch.zeros(len(histories), 1, dtype=torch.long)
    keys = [str(at) for at in range(len(histories))]
    return Batch(keys, ids, torch.ones_like(ids), ids, user_history=UserHistoryBatch.of(histories))


@pytest.fixture
def adapter() -> E2PAdapter:
    torch.manual_seed(0)
    statistics = {"his": (torch.tensor([1.0, 0.0]), torch.tensor([2.0, 4.0]))}
    return E2PAdapter(Projector(ProjectorConfig(), E, D, ["user"], 1.0), E, statistics)


def test_the_soft_token_is_the_projected_mean_of_the_standardised_reviews(adapter: E2PAdapter) -> None:
    batch = batch_of(history_of([3.0, 4.0], [5.0, -8.0], [1.0, 16.0]), history_of([-1.0, 2.0]))
    means = torch.tensor([[(1 + 2 + 0) / 3, (1 - 2 + 4) / 3], [-1.0, 0.5]])
    assert torch.allclose(adapter.user_embedding(batch), means)
    token_B1D = adapter(batch).vectors["user"]
    assert token_B1D.shape == (2, 1, D)
    first, _, last = adapter.projector.networks["user"]  # type: ignore[misc]
    for row, mean in enumerate(means):
        hidden = torch.nn.functional.gelu(first.weight @ mean + first.bias)
        assert torch.allclose(token_B1D[row, 0], last.weight @ hidden + last.bias, atol=1e-6)


def test_a_user_without_reviews_gets_the_token_of_the_average_user(adapter: E2PAdapter) -> None:
    nobody = adapter(batch_of(history_of(), history_of([9.0, 9.0]))).vectors["user"][0]
    assert torch.allclose(nobody, adapter(batch_of(history_of([1.0, 0.0]))).vectors["user"][0], atol=1e-6)


def test_a_batch_without_users_is_refused(adapter: E2PAdapter) -> None:
    batch = batch_of(history_of([1.0, 1.0]))
    batch.user_history = None
    with pytest.raises(ValueError, match=r"batch\.user_history.*prompt\.reads_user_history"):
        adapter(batch)


@pytest.mark.parametrize("slots", ["inline", "late"])
def test_one_token_stands_beside_the_texts_of_past_reviews(model, tokenizer, slots: str) -> None:
    config = PromptConfig(history=2, reads_user_history=True, user_tokens=1, slots=slots)  # type: ignore[arg-type]
    builder = PromptBuilder(tokenizer, config, ["user"])
    past = Slot(Review("u", "j", "It glows.", 4.0, "Bright", 0), Item("j", "Lamp"), torch.ones(E), torch.ones(E))
    request = Request("k", "Books", "u", Item("i", "A thing"), 4.0, "Fine", "It was fine.", (past,))
    prompt = builder.build(replace(request, user_history=history_of([3.0, 4.0], [5.0, -8.0])))
    soft = build_soft_prompt(
        SoftPromptConfig(adapter="e2p", branches=["user"]), NoCompressorConfig(), ProjectorConfig(),
        width=E, model=model, tokenizer=tokenizer,
    )  # fmt: skip
    batch = Collator(tokenizer.pad_token_id)([prompt])
    out = soft(batch, model.get_input_embeddings()).inputs_embeds
    at = batch.ids == tokenizer.convert_tokens_to_ids(HIS_SLOT)
    assert at.sum() == 1
    assert soft.adapter is not None
    assert torch.allclose(out[at], soft.adapter(batch).vectors["user"][0])
    text = tokenizer.decode(prompt.ids)
    assert "[Review Text]: It glows." in text
    assert (text.index("[User Embedding]") < text.index("[Review Text]")) == (slots == "inline")


@pytest.mark.parametrize("kind", ["e2p", "lpm"])
def test_with_start_words_the_llm_first_reads_plain_words(model, tokenizer, kind: str) -> None:
    config = SoftPromptConfig(adapter=kind, branches=["user"], lpm=LPMConfig(tokens=1))
    soft = build_soft_prompt(
        config, NoCompressorConfig(), ProjectorConfig(start="words"), width=E, model=model, tokenizer=tokenizer
    )
    assert soft.adapter is not None
    word = model.get_input_embeddings()(torch.tensor(phrase_ids(tokenizer, "user")[0]))
    token = soft.adapter(batch_of(history_of([3.0, 4.0]))).vectors["user"]
    assert torch.allclose(token[0, 0], word, atol=1e-6)
