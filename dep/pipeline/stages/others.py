"""Gives an adapter at the LLM's output a sample of the training users' reviews (`soft_prompt.memory.others`)."""

from __future__ import annotations

import random

import torch

from dep.data.datamodule import ReviewData
from dep.inference.target_states import Written
from dep.models.adapters.memory import MemoryAdapter
from dep.models.adapters.others_reviews import OthersReview, TensorStore
from dep.training.module import PersonalizationModule


def fill_others(module: PersonalizationModule, data: ReviewData, kept: TensorStore | None = None) -> None:
    """Let the LLM read a sample of the training reviews, the same for every arm and seed, and give it to the adapter.

    Nothing happens where the adapter reads no others.

    Args:
        module: the module whose adapter gets the sample.
        data: the training's reviews and prompts.
        kept: keeps what the training's examples are similar to, for all arms and seeds; None compares in each step.
    """
    adapter = module.soft_prompt.adapter
    if not isinstance(adapter, MemoryAdapter) or adapter.others is None:
        return
    examples, prompts = data.examples("train"), data.training_prompts()
    authors = [data.prepared.corpora[one.category].reviews[one.row].user for one in examples]
    order = list(range(len(examples)))
    random.Random(0).shuffle(order)
    chosen, tokens = [], 0
    while order and tokens < adapter.config.others:
        chosen.append(order.pop())
        tokens += len(prompts[chosen[-1]].target)
    states = module.states.read([Written(prompts[at].ids, prompts[at].target) for at in chosen], "others' reviews")
    reviews = [
        OthersReview(authors[at], torch.tensor(prompts[at].target), states_TD)
        for at, states_TD in zip(chosen, states, strict=True)
    ]
    adapter.others.kept = kept
    adapter.others.fill(reviews, {prompts[at].key: author for at, author in enumerate(authors)})
