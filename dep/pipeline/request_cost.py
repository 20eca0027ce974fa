"""Measures the cost of arms: trained parameters, training time, and a request's tokens, operations, time and memory.

An arm is one system of a comparison with its settings.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from inspect import signature
from statistics import fmean
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from dep.data.collate import Collator
from dep.inference.capabilities import capabilities
from dep.inference.target_states import TargetStates
from dep.models.adapters.base import Adapter
from dep.models.adapters.files import read_adapter
from dep.pipeline.arm import Arm
from dep.pipeline.past_reviews import PastReviews
from dep.training.module import PersonalizationModule
from dep.types import Batch, Prompt, Request
from dep.utils.atomic_io import read_json, read_rows

_SLOW_S = 0.5
"""A pass that takes longer than this, in seconds, is measured on one request only."""
_SAMPLE = 8
"""Number of requests for which operations and time are measured."""
_FLOAT = 4
"""Bytes in one component of a vector."""


def sample(prompts: Sequence[Prompt]) -> list[Prompt]:
    """Choose up to 8 of `prompts`, evenly spaced by length, without cuts: they are measured whole."""
    ordered = sorted(prompts, key=lambda prompt: (len(prompt.ids) + len(prompt.target), prompt.key))
    count = min(_SAMPLE, len(ordered))
    return [replace(ordered[(2 * at + 1) * len(ordered) // (2 * count)], cuts=()) for at in range(count)]


@torch.no_grad()
def request_flops(module: PersonalizationModule, prompts: Sequence[Prompt], collate: Collator) -> float:
    """Count the floating-point operations of a forward pass over a request and its real review.

    The soft prompt is included. Each example is counted alone, so that nothing is shared or padded.

    Args:
        module: the backbone with the soft prompt.
        prompts: the requests to measure.
        collate: makes a batch of prompts.

    Returns:
        The mean over `prompts`; 0 if there are none.
    """
    capabilities(module.backbone)  # its first call tries the architecture, which is no part of a request
    batches = [collate([prompt]).to(module.device) for prompt in prompts]
    with _without_kept_states(module):
        totals = [_counted(partial(module.example_nll, batch)) for batch in batches]
    return fmean(totals) if totals else 0.0


@contextmanager
def _without_kept_states(module: PersonalizationModule) -> Iterator[None]:
    """Let the LLM read each request, as a new one is read, also where its states are kept."""
    kept = module.states
    try:
        module.states = TargetStates(module.backbone, in_memory=0)
        yield
    finally:
        module.states = kept


def _counted(call: Callable[[], object]) -> float:
    """Count the operations of a call; attention runs as matrix products, since torch cannot count its CPU kernel."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        call()
    return float(counter.get_total_flops())


@torch.no_grad()
def request_seconds(module: PersonalizationModule, prompts: Sequence[Prompt], collate: Collator) -> float:
    """Time a forward pass over each request and its real review, one at a time; return the mean in seconds, or 0.

    A large model on a slow machine is timed on the request of middle length alone.
    """
    batches = [collate([prompt]).to(module.device) for prompt in prompts]

    def seconds(batch: Batch) -> float:
        start = time.perf_counter()
        module.example_nll(batch)
        if module.device.type == "cuda":
            torch.cuda.synchronize(module.device)
        return time.perf_counter() - start

    if not batches:
        return 0.0
    middle = batches[len(batches) // 2]
    with _without_kept_states(module):
        slow = seconds(middle) > _SLOW_S  # the first call also warms up
        return fmean(map(seconds, [middle] if slow else batches))


@torch.no_grad()
def tokens_flops(model: PreTrainedModel, tokens: int) -> float:
    """Count the operations of a forward pass over `tokens` tokens, which a request with a profile needs in addition."""
    ids = torch.zeros(1, tokens, dtype=torch.long, device=model.device)
    last_only = {"logits_to_keep": 1} if "logits_to_keep" in signature(model.forward).parameters else {}
    return _counted(lambda: model(input_ids=ids, **last_only))


def user_bytes(request: Request, text: bool, branches: Sequence[str], adapter: Adapter | None = None) -> int:
    """Count the bytes (texts, vectors, profile) that a system must store about a user to serve a request.

    Args:
        request: the request.
        text: whether the prompt holds the past reviews as text.
        branches: the kinds of vector that the adapter reads (`dep.types.Branch`).
        adapter: says how much of a user's history is stored; None for a method without one, which stores no history.
    """
    size = len(request.profile.encode())
    for slot in request.slots:
        if text:
            size += sum(len(part.encode()) for part in (slot.review.title, slot.review.text, slot.item.title))
        size += sum(_FLOAT * vector.numel() for b in branches if (vector := getattr(slot, b, None)) is not None)
    if request.user_history is not None and adapter is not None:
        size += _FLOAT * adapter.stored_numbers(request.user_history)
    return size


def costs(arms: Sequence[Arm]) -> dict[str, dict[str, Any]]:
    """Collect the costs of each arm, as means over its seeds.

    Returns:
        A dictionary for each arm, by the arm's name, with these keys. `trains`: whether the arm trains an adapter.
        `trainable`: the number of trained and pretrained parameters. `frozen`: the number of the LLM's parameters.
        `train_seconds`: the time of training and pretraining; an interrupted training counts only its last part, and
        arms that share an adapter each have the whole time. Means per request: `prompt_tokens` and `calls` of the LLM,
        both including profiles, `gflops` (1e9 operations), `seconds`, `kv_bytes` and `user_bytes`. `user_seconds`:
        the time to train for one user; None for most methods. `past_reviews`: the counts of `PastReviews` for the
        first seed. `training_past_reviews`: those of the training prompts.
    """
    by_name: dict[str, list[Arm]] = {}
    for arm in arms:
        by_name.setdefault(arm.name, []).append(arm)
    return {name: _arm_costs(seeds) for name, seeds in by_name.items()}


def _arm_costs(arms: Sequence[Arm]) -> dict[str, Any]:
    rows_of_seeds = [read_rows(arm.folder / "predictions.jsonl") for arm in arms]
    rows = [row for seed_rows in rows_of_seeds for row in seed_rows]
    steps_of_rows: list[Sequence[Mapping[str, Any]]] = [row.get("steps") or () for row in rows]
    result: dict[str, Any] = {
        "trains": arms[0].method.trains,
        "prompt_tokens": fmean(
            row["prompt_tokens"] + sum(step["prompt_tokens"] for step in steps)
            for row, steps in zip(rows, steps_of_rows, strict=True)
        ),
        "calls": fmean(1 + len(steps) for steps in steps_of_rows),
        "past_reviews": PastReviews.of(rows_of_seeds[0])._asdict(),
    }
    measured = [read_json(arm.folder / "cost.json") for arm in arms]
    for name in ("gflops", "seconds", "kv_bytes", "user_bytes", "user_seconds"):
        values = [row[name] for row in measured if name in row]
        result[name] = fmean(values) if values else None
    if arms[0].method.trains:
        _, metadata, _ = read_adapter(arms[0].folder / "adapter.safetensors")
        result |= {"trainable": metadata["trainable"] + metadata["pretrained"], "frozen": metadata["frozen"]}
        seconds = [read_json(arm.folder / "training.json").get("seconds") for arm in arms]
        if trained := PastReviews.of_training(arms[0].folder):
            result["training_past_reviews"] = trained._asdict()
        known = [value for value in seconds if value is not None]
        result["train_seconds"] = fmean(known) if known else None
    return result
