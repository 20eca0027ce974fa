"""A user's LoRA learns the user's reviews, depends on nothing but its seed and prompts, and is off outside."""

from __future__ import annotations

import pytest
import torch

from dep.data.collate import Collator
from dep.models.adapters.lora import LoRAAdapter
from dep.models.compressors.settings import NoCompressorConfig
from dep.models.settings import LoRAConfig, ProjectorConfig, SoftPromptConfig
from dep.models.soft_prompt import build_soft_prompt
from dep.training.module import PersonalizationModule
from dep.training.settings import TrainConfig, UserTraining
from dep.training.user_lora import train_user, untrained
from dep.types import Prompt

SETTINGS = UserTraining(rank=2, lr=0.02, epochs=4, batch=2, reviews=50)
COLLATE = Collator(0)


@pytest.fixture
def module(model, tokenizer) -> PersonalizationModule:
    soft = SoftPromptConfig(adapter="lora", branches=[], lora=LoRAConfig(rank=3))
    parts = build_soft_prompt(
        soft, NoCompressorConfig(), ProjectorConfig(), width=4, model=model, tokenizer=tokenizer
    )  # fmt: skip
    return PersonalizationModule(model, parts, TrainConfig()).eval()


@pytest.fixture
def texts(prompts) -> list[Prompt]:
    return [Prompt(p.key, [at for at in p.ids if at < 250], p.target) for p in prompts]


def nll(module: PersonalizationModule, texts: list[Prompt]) -> torch.Tensor:
    with torch.no_grad():
        return module.example_nll(COLLATE(texts))[0]


def test_a_user_s_updates_lower_the_loss_of_their_reviews_and_are_off_outside_the_block(module, texts) -> None:
    adapter = module.soft_prompt.adapter
    assert isinstance(adapter, LoRAAdapter)
    before, own = nll(module, texts), {name: p.clone() for name, p in adapter.named_parameters()}
    updates = train_user(module, texts[:3], COLLATE, SETTINGS, seed=1)
    with adapter.of_user(updates):
        assert (nll(module, texts)[:3] < before[:3]).all()
    assert torch.equal(nll(module, texts), before)
    assert all(torch.equal(p, own[name]) for name, p in adapter.named_parameters())
    assert not any(p.requires_grad for p in updates.parameters())


def test_the_result_follows_from_seed_and_reviews_alone(module, texts) -> None:
    results = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        results.append(train_user(module, texts[:3], COLLATE, SETTINGS, seed=7).state_dict())
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])
    other = train_user(module, texts[:3], COLLATE, SETTINGS, seed=8).state_dict()
    assert not any(torch.equal(results[0][name], other[name]) for name in other)


def test_a_user_without_past_reviews_gets_updates_that_change_nothing(module, texts) -> None:
    before = nll(module, texts)
    assert isinstance(module.soft_prompt.adapter, LoRAAdapter)
    for updates in (train_user(module, [], COLLATE, SETTINGS, seed=1), untrained(module, SETTINGS, 1)):
        with module.soft_prompt.adapter.of_user(updates):
            assert torch.allclose(nll(module, texts), before, atol=1e-5)


def test_a_step_of_the_loop_is_a_step_of_adamw_on_the_mean_of_the_reviews_means(module, texts) -> None:
    one = SETTINGS._replace(epochs=1, batch=8)
    trained = train_user(module, texts, COLLATE, one, seed=3)
    expected = untrained(module, one, 3)
    optimizer = torch.optim.AdamW(expected.parameters(), lr=0.02, weight_decay=0.01)
    assert isinstance(module.soft_prompt.adapter, LoRAAdapter)
    with module.soft_prompt.adapter.of_user(expected):
        losses = [total / count for p in texts for total, count in [module.example_nll(COLLATE([p]))]]
        torch.cat(losses).mean().backward()
    torch.nn.utils.clip_grad_norm_(expected.parameters(), 1.0)
    optimizer.step()
    for name, value in trained.state_dict().items():
        assert torch.allclose(value, expected.state_dict()[name], atol=1e-3), name
