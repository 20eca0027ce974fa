"""Weighs the tokens of training reviews by how much their author's past reviews tell of them (NextQuill).

    <cache>/token_weights/<digest of all prompts and the LLM>.safetensors

The frozen LLM reads every training review twice, after the request with the run's past reviews as text and after the
request alone. Seeds and arms with the same training examples share the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from dep.data.datamodule import ReviewData
from dep.data.prompts.requests import Requests
from dep.inference.likelihood import target_nll
from dep.models.adapters.files import is_intact, write_tensors
from dep.models.token_weights import FLOOR, history_weights
from dep.pipeline.arm import Arm
from dep.pipeline.content import backbone_identity
from dep.pipeline.keys import VERSIONS
from dep.pipeline.resources import Resources
from dep.types import Prompt
from dep.utils.errors import DepError
from dep.utils.hashing import json_digest
from dep.utils.locks import file_lock
from dep.utils.progress import Advance, stage


def token_weights(resources: Resources, arm: Arm, data: ReviewData) -> dict[str, list[float]]:
    """Take the weights from the cache; if they are not there, compute and keep them.

    Args:
        resources: the backbone, and where to print.
        arm: an arm with `train.token_weights=history`, as it is trained.
        data: the arm's training examples.

    Returns:
        For each training example, by its key, the weight of each token of its target; their mean is 1.

    Raises:
        DepError: the run's prompts show no past reviews.
    """
    after_history, alone = plain_prompts(resources, arm, data)
    content = [(a.ids, b.ids, b.target) for a, b in zip(after_history, alone, strict=True)]
    name = json_digest([content, backbone_identity(arm.config), VERSIONS["token_weights"]])[:16]
    path = Path(arm.config.cache) / "token_weights" / f"{name}.safetensors"
    with file_lock(path.with_suffix(".lock")):
        if not is_intact(path):
            write_tensors(path, {"weights": torch.cat(_computed(resources, arm, data, after_history, alone))})
    parts = load_file(path)["weights"].split([len(prompt.target) for prompt in alone])
    return {prompt.key: part.tolist() for prompt, part in zip(alone, parts, strict=True)}


def plain_prompts(resources: Resources, arm: Arm, data: ReviewData) -> tuple[list[Prompt], list[Prompt]]:
    """Build the prompts of all training examples as plain text: those with past reviews, and those without any."""
    config = arm.config.prompt
    if not config.history:
        raise DepError(
            f"arm {arm.name}: train.token_weights=history", "prompt.history of 1 or more", "0",
            "raise it, or set train.token_weights=uniform",
        )  # fmt: skip
    examples = data.examples("train")
    both = []
    for prompt in (replace(config, text=True), replace(config, history=0)):
        builder = resources.builder(arm.config, prompt, ())
        requests = Requests(examples, data.prepared.corpora, None, data.retriever, prompt.history)
        both.append([builder.build(request) for request in requests])
    return both[0], both[1]


def _computed(
    resources: Resources, arm: Arm, data: ReviewData, after_history: Sequence[Prompt], alone: Sequence[Prompt]
) -> list[Tensor]:
    """Let the LLM read both prompts of every example; return the weights [T] of each example."""
    with stage("token weights", 2 * len(alone), show=arm.config.train.progress) as advance:
        read = [_log_likelihoods(resources, arm, data, prompts, advance) for prompts in (after_history, alone)]
    weights = [history_weights(known_T, plain_T) for known_T, plain_T in zip(*read, strict=True)]
    effects_M = torch.cat([known_T - plain_T for known_T, plain_T in zip(*read, strict=True)])
    resources.console.print(
        f"[bold]token weights[/] {arm.label}: {len(alone)} reviews; past reviews make "
        f"{(effects_M > FLOOR).float().mean():.0%} of {len(effects_M):,} tokens likelier"
    )
    return weights


@torch.no_grad()
def _log_likelihoods(
    resources: Resources, arm: Arm, data: ReviewData, prompts: Sequence[Prompt], advance: Advance
) -> list[Tensor]:
    """Return the log likelihood [T] of each token of each prompt's target."""
    model, _ = resources.backbone(arm.config)
    model.to(resources.device)
    order = sorted(range(len(prompts)), key=lambda at: len(prompts[at].ids) + len(prompts[at].target))
    found: dict[int, Tensor] = {}
    for start in range(0, len(order), arm.config.evaluate.batch_size):
        chunk = order[start : start + arm.config.evaluate.batch_size]
        batch = data.collate([prompts[at] for at in chunk]).to(resources.device)
        embeds_BTD = model.get_input_embeddings()(batch.ids)
        nll_M, rows_M = target_nll(model, embeds_BTD, batch.attention_mask, batch.labels)
        found |= {at: -nll_M[rows_M == row].float().cpu() for row, at in enumerate(chunk)}
        advance(len(chunk))
    return [found[at] for at in range(len(prompts))]
