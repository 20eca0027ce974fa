"""Computes how much work an arm is: its examples, the tokens of its prompts and reviews, and its parameters.

An arm is one system of a comparison with its settings. No weights are loaded. Tokens are counted in the prepared data
if the reviews are available; otherwise they follow from the paper's Table 4.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from transformers import AutoModelForCausalLM

from dep.config.schema import build
from dep.data.arm_requests import ArmRequests
from dep.data.prompts.settings import PromptConfig
from dep.data.training_population import training_rows
from dep.models.adapters import ADAPTERS
from dep.models.adapters.base import Adapter, AdapterParts
from dep.models.backbones.cost import Load, architecture
from dep.models.settings import SoftPromptConfig
from dep.models.soft_prompt import build_adapter
from dep.pipeline.arm import Arm
from dep.pipeline.resources import Resources
from dep.utils.hashing import json_digest

SAMPLE = 48
"""Number of test examples whose prompts are measured."""
_TABLE4 = {"train": 3996, "val": 512, "test": 3996}
"""Numbers of examples in the paper's data (Table 4); the test examples are 317 + 1,925 + 1,754."""
_REVIEW_TOKENS = 390
"""Mean number of tokens in a review of the paper's data: 1,609 characters, with about 4.1 characters per token."""
_FIELD_TOKENS = 260
"""Mean number of tokens in a past review's other fields (item title, description, rating, review title)."""
_ITEM_TOKENS = 300
"""Mean number of tokens in the description of the target's item."""
_BRANCH_TOKENS = 12
"""Number of tokens in the lines that hold one soft token: heading, boundary tokens and slot token."""
_VARIANTS = 3
"""How often an alignment measures its held-out reviews at its end: with the right, no and another review's vector."""
_PROFILE = 20
"""Number of past reviews of a test user that is assumed if the reviews are not available."""
_CATEGORIES = 3
"""Number of categories in the paper's data and in the built-in world."""
_DEFAULT_WIDTH = 1024
"""The width E that is assumed if the embedder's files are not on this machine; it is that of bge-m3."""


def example_counts(resources: Resources) -> tuple[dict[str, int] | None, str]:
    """Count the examples of the run.

    Returns:
        The number of examples in each split, or None if the reviews are not available; and a sentence that says where
        the numbers come from.
    """
    try:
        prepared = resources.prepared(resources.config)
    except (FileNotFoundError, ValueError) as error:
        return None, f"Examples and lengths are those of the paper's Table 4, since the reviews are not here: {error}"
    counts = dict.fromkeys(("train", "val", "test"), 0)
    for example in prepared.examples:
        counts[example.split] = counts.get(example.split, 0) + 1
    return counts, f"Examples: {', '.join(f'{n} {split}' for split, n in counts.items())}."


def arm_load(resources: Resources, arm: Arm, counts: dict[str, int] | None) -> Load:
    """Compute how much work an arm is, in examples and tokens.

    Args:
        resources: the reviews and the tokenizer of the run.
        arm: the arm.
        counts: the number of examples in each split; None for the numbers and lengths of the paper.
    """
    config, (prompt, soft) = arm.config, arm.configured
    assumed = counts is None
    if counts is None:
        counts, target = _TABLE4, float(_REVIEW_TOKENS)
        lines = (_BRANCH_TOKENS + config.projector.tokens - 1) * len(soft.branches)
        block = _FIELD_TOKENS + (_REVIEW_TOKENS if prompt.text else 0) + lines
        mean = min(prompt.max_input_tokens, _ITEM_TOKENS + block * prompt.history)
        longest = min(prompt.max_input_tokens, mean * 2) + min(prompt.max_target_tokens, 5 * _REVIEW_TOKENS)
        kept, kept_name, read_past = 0.0, "", (0, 0, 0.0)
    else:
        lengths, kept_name = _lengths(resources, arm)
        mean, target, kept = (sum(column) / len(column) for column in zip(*lengths, strict=True))
        longest = max(ids + target_ids for ids, target_ids, _ in lengths)
        read_past = _read_past(resources, arm)
        if _at_output(soft):
            kept, kept_name = mean + target, f"{kept_name} and states"
    epochs = arm.settings.epochs
    counts = counts | {"train": min(counts["train"], arm.settings.max_examples or counts["train"])}
    users, users_train = _user_training(resources, arm, counts["test"] if assumed else None)
    return Load(
        counts["train"] * epochs, counts["val"] * epochs, counts["test"], mean, target, longest,
        config.train.micro_batch, config.generate.batch_size, config.generate.max_new_tokens,
        config.train.monitor == "val_meteor",
        arm.method.calls(prompt.history) if config.profile.writer == "backbone" else 0, config.profile.max_new_tokens,
        kept, kept_name, counts["train"] + counts["val"], counts["test"], config.evaluate.texts,
        counts["train"] if arm.settings.token_weights == "history" else 0, users, users_train,
        *read_past,
    )  # fmt: skip


def _at_output(soft: SoftPromptConfig) -> bool:
    """Return whether the adapter changes the LLM's output alone, so that hidden states can be kept."""
    kind: type[Adapter] = ADAPTERS.component(soft.adapter)
    return kind.acts_at_output


def _read_past(resources: Resources, arm: Arm) -> tuple[int, int, float]:
    """Count the past reviews that the LLM reads for an adapter at its output.

    Returns:
        The number for training and validation, the number for the test, and the mean number of tokens of one.
    """
    prompt, soft = arm.configured
    if not (_at_output(soft) and prompt.reads_user_history):
        return 0, 0, 0.0
    rows: dict[str, set[tuple[str, int]]] = {"train": set(), "val": set(), "test": set()}
    for example in resources.prepared(arm.config).examples:
        newest = example.profile[-prompt.max_user_history :]
        rows.setdefault(example.split, set()).update((example.category, row) for row in newest)
    plain = replace(prompt, history=0)
    lengths, _ = _lengths(resources, arm, plain)
    tokens = sum(ids + target for ids, target, _ in lengths) / len(lengths)
    return len(rows["train"] | rows["val"]), len(rows["test"]), tokens


def alignment_load(resources: Resources, arm: Arm, counts: dict[str, int] | None) -> Load:
    """Compute how much work the alignment of an arm is; its prompts are assumed to be as long as those of the arm."""
    align, tasks, load = arm.config.train.align, len(arm.alignment_tasks), arm_load(resources, arm, counts)
    if counts is None:
        reviews = _TABLE4["train"]
    else:
        prepared = resources.prepared(arm.config)
        reviews = sum(map(len, training_rows(prepared.corpora, prepared.examples).values()))
    examples = min(reviews * tasks, align.max_examples or reviews * tasks)
    measured = (align.epochs + _VARIANTS) * align.held_out * tasks
    return replace(load, train=examples * align.epochs, validate=measured, validation_writes=False, read=examples)


def _user_training(resources: Resources, arm: Arm, assumed: int | None) -> tuple[int, int]:
    """Count the test users for whom a LoRA is trained, and the past reviews that are read for it in all epochs.

    Args:
        resources: the reviews of the run.
        arm: the arm.
        assumed: the number of test examples if the reviews are not available; None if they are.
    """
    training = arm.method.user_training
    if training is None:
        return 0, 0
    if assumed is not None:
        return assumed, assumed * min(_PROFILE, training.reviews) * training.epochs
    tests = {(e.category, e.profile) for e in resources.prepared(arm.config).examples if e.split == "test"}
    return len(tests), sum(min(len(profile), training.reviews) for _, profile in tests) * training.epochs


def _lengths(
    resources: Resources, arm: Arm, prompt: PromptConfig | None = None
) -> tuple[list[tuple[int, int, int]], str]:
    """Count the tokens of prompt and target, and those that are kept, for a sample of test examples.

    No vectors are loaded for slot tokens. In prompts with soft tokens in their blocks only the system text is kept.

    Args:
        resources: the reviews and the tokenizer of the run.
        arm: the arm.
        prompt: settings of the prompt in place of the arm's.

    Returns:
        The three numbers of each example, and a digest of the kept tokens.
    """
    configured, soft = arm.configured
    prompt = prompt or configured
    plain = replace(prompt, reads_user_history=False, user_tokens=0)
    builder = resources.builder(arm.config, plain, soft.branches)
    branches = builder.branches
    data = ArmRequests(resources.prepared(arm.config), None, build(arm.config, "retriever"), builder)
    user_tokens = prompt.user_tokens if prompt.user_tokens >= 0 else prompt.max_user_history
    slots = sum(len(builder.slot_ids(branch)) for branch in branches)
    requests = data.requests("test")
    prompts = data.prompts(requests[: min(SAMPLE, len(requests))])
    which = 0 if (branches or user_tokens) and prompt.slots == "inline" else -1
    sample = [prompts[at] for at in range(len(prompts))]
    ends = [p.cuts[which] if p.cuts else 0 for p in sample]
    added = slots * prompt.history + user_tokens
    lengths = [(len(p.ids) + added, len(p.target), end) for p, end in zip(sample, ends, strict=True)]
    return lengths, json_digest([p.ids[:end] for p, end in zip(sample, ends, strict=True)])


def trained_parameters(arm: Arm) -> int:
    """Count an arm's trained parameters, including low-rank updates of the LLM and trained boundary tokens.

    It is 0 for an arm that trains nothing.
    """
    if not arm.method.trains:
        return 0
    config, (prompt, soft) = arm.config, arm.configured
    shape = architecture(config.backbone)
    try:
        width = build(config, "embedder").dim
    except (OSError, ValueError):
        width = _DEFAULT_WIDTH
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(shape)
        parts = AdapterParts(soft, config.compressor, config.projector, width, model, 1.0, None, _CATEGORIES)
        words = {branch: torch.zeros(1, parts.llm_width) for branch in parts.branches}
        adapter = build_adapter(replace(parts, longest=prompt.max_user_history, words=words))
    own = sum(p.numel() for name, p in adapter.named_parameters() if adapter.is_trained(name)) if adapter else 0
    boundary = 2 * len(soft.branches) * parts.llm_width if soft.boundary_trainable else 0
    return own + boundary
