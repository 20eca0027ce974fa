"""Trains a LoRA for one user on that user's past reviews (OPPU), by a plain loop without Lightning.

    L = mean over the reviews of a batch of -1/T Σ_t ln P(y_t | prompt, y_<t),   AdamW on the user's factors A and B

Everything else is frozen: the LLM, and a LoRA that was trained on all users before, if there is one. A user has few
reviews, so that the training takes seconds; it is repeated if it is interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from dep.data.collate import Collator
from dep.models.adapters.lora import LoRAAdapter, LowRankUpdates
from dep.models.settings import LoRAConfig
from dep.training.module import PersonalizationModule
from dep.training.schedule import schedule_factor, warmup_steps
from dep.training.settings import UserTraining
from dep.types import Prompt

_WARMUP = 0.1
_WEIGHT_DECAY = 0.01
"""Warm-up and weight decay of the authors' code."""
_CLIP = 1.0
"""Norm to which larger gradients are clipped (the authors' code: 0.3, at a tenth of the learning rate)."""


def untrained(module: PersonalizationModule, settings: UserTraining, seed: int) -> LowRankUpdates:
    """Return a user's updates before training, which change nothing; their first factor follows from `seed` alone."""
    targets = module.soft_prompt.config.lora.targets
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        updates = LowRankUpdates(module.backbone, LoRAConfig(rank=settings.rank, targets=targets))
    return updates.to(module.device)


def train_user(
    module: PersonalizationModule, prompts: Sequence[Prompt], collate: Collator, settings: UserTraining, seed: int
) -> LowRankUpdates:
    """Train a user's updates.

    Args:
        module: the frozen LLM with a `LoRAAdapter`, whose own updates are not trained here.
        prompts: the training prompts, one for each past review of the user; without any, the result is untrained.
        collate: makes a batch of prompts with their targets.
        settings: rank, learning rate, epochs and batch size.
        seed: seed of the first factor and of the order of the reviews.

    Returns:
        The trained updates, in eval mode and without gradients.
    """
    adapter = module.soft_prompt.adapter
    assert isinstance(adapter, LoRAAdapter), "a user's updates stand on those of a LoRA"
    updates = untrained(module, settings, seed)
    batches = list(_batches(len(prompts), settings, seed))
    warmup = warmup_steps(len(batches), _WARMUP, "from_share")
    optimizer = torch.optim.AdamW(updates.parameters(), lr=settings.lr, weight_decay=_WEIGHT_DECAY)
    parameters = list(updates.parameters())
    with torch.enable_grad(), adapter.of_user(updates):
        for step, rows in enumerate(batches):
            optimizer.param_groups[0]["lr"] = settings.lr * schedule_factor(step, len(batches), warmup, "linear")
            nll_B, tokens_B = module.example_nll(collate([prompts[at] for at in rows]).to(module.device))
            gradients = torch.autograd.grad((nll_B / tokens_B).mean(), parameters)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            torch.nn.utils.clip_grad_norm_(parameters, _CLIP)
            optimizer.step()
    return updates.eval().requires_grad_(False)


def _batches(count: int, settings: UserTraining, seed: int) -> Iterator[list[int]]:
    """Yield the reviews of each optimizer step: in each epoch another order, cut into batches, the last one short."""
    draw = torch.Generator().manual_seed(seed)
    for _ in range(settings.epochs):
        order = torch.randperm(count, generator=draw).tolist()
        yield from (order[start : start + settings.batch] for start in range(0, count, settings.batch))
