"""The alignment stage: an adapter learns what a vector means, before it is trained on users (`train.align`).

The aligned adapter is in the cache, and arms whose alignment has the same key share it. Beside it, alignment.json says
how well held-out reviews are reconstructed from their own vector, without one, and from another review's.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from dep.data.alignment import AlignmentData, Task
from dep.data.datamodule import Batching, ReviewData
from dep.data.prompts.requests import MappedRequests
from dep.evaluation.significance import paired
from dep.methods.controls.shuffled import with_others_vectors
from dep.pipeline.arm import Arm
from dep.pipeline.keys import alignment_key
from dep.pipeline.resources import Resources
from dep.pipeline.store import ArmStore
from dep.training.module import PersonalizationModule
from dep.training.trainer import Train
from dep.types import Branch, Request, Slot, UserHistory
from dep.utils.atomic_io import read_json, write_json
from dep.utils.progress import stage

REPORT = "alignment.json"
"""The file of held-out likelihoods, beside the aligned adapter."""


@dataclass(frozen=True)
class Reconstruction:
    """Likelihoods of held-out reviews in one alignment task, in nats per token, as means over reviews."""

    reviews: int
    right: float
    """With the review's own vector."""
    absent: float
    """With the mean vector of the training reviews."""
    another: float | None = None
    """With the vector of another user's review; None if all reviews are by one user."""
    gain: float | None = None
    """`another` - `right`: what the right vector tells about its review."""
    gain_95: tuple[float, float] | None = None
    """The 95% interval of `gain`, over users."""

    @property
    def line(self) -> str:
        """The likelihoods in one line."""
        text = f"right vector {self.right:.3f}, none {self.absent:.3f}"
        if self.another is None or self.gain is None or self.gain_95 is None:
            return text
        low, high = self.gain_95
        return f"{text}, another review's {self.another:.3f} ({self.gain:+.3f}, 95% {low:+.3f} to {high:+.3f})"


def align(resources: Resources, arm: Arm, data: ReviewData, module: PersonalizationModule) -> float:
    """Load the aligned adapter into the module; if the cache lacks it, align it first.

    Args:
        resources: what the arms share.
        arm: an arm with alignment tasks.
        data: the arm's data module.
        module: the arm's module, with an untrained adapter (whose encoder may be pretrained).

    Returns:
        How many seconds the alignment took, in this call or in an earlier one.
    """
    store = ArmStore(arm)
    home = store.alignment_home
    if not store.alignment_is_cached:
        _align_into_cache(resources, arm, data, module)
    module.load_adapter(home / "adapter.safetensors")
    return float(read_json(home / REPORT).get("seconds", 0))


def _align_into_cache(resources: Resources, arm: Arm, data: ReviewData, module: PersonalizationModule) -> None:
    home, settings, start = ArmStore(arm).alignment_home, arm.alignment_settings, time.time()
    examples = _data(resources, arm, data)
    aligned = PersonalizationModule(module.backbone, module.soft_prompt, settings, prefixes=module.prefixes)
    resources.console.print(
        f"[bold]align[/] {arm.label}, seed {arm.seed}: {len(examples.training_prompts())} examples of "
        f"{', '.join(examples.tasks)}, from single reviews of the training population"
    )
    Train(settings, f"{arm.name}, alignment, seed {arm.seed}").fit(aligned, examples, home)
    aligned.to(resources.device).eval()
    show = arm.config.generate.progress
    scores = {task: reconstruction(aligned, examples, task, show) for task in examples.tasks}
    for task, score in scores.items():
        if score is not None:
            resources.console.print(
                f"[bold]align[/] {arm.label}, seed {arm.seed}: {task}, {score.reviews} held-out reviews: {score.line}"
            )
    report: dict[str, Any] = {task: None if score is None else vars(score) for task, score in scores.items()}
    write_json(home / REPORT, {"seconds": round(time.time() - start, 1), "tasks": report})
    aligned.save_adapter(home / "adapter.safetensors", {"key": alignment_key(arm), "seed": arm.seed})
    shutil.rmtree(home / "checkpoints", ignore_errors=True)


def _data(resources: Resources, arm: Arm, data: ReviewData) -> AlignmentData:
    config, soft, align = arm.config, arm.configured[1], arm.config.train.align
    batching = Batching(
        config.train.effective_batch, config.train.micro_batch, config.evaluate.batch_size, arm.seed,
        input_noise=config.train.input_noise, fill=config.train.last_window == "fill",
    )  # fmt: skip
    builder = resources.builder(config, arm.alignment_prompt, soft.branches, arm.alignment_frame)
    return AlignmentData(data, builder, batching, arm.alignment_tasks, soft.slots, align.max_examples, align.held_out)


def reconstruction(
    module: PersonalizationModule, data: AlignmentData, task: Task, show: bool = False
) -> Reconstruction | None:
    """Measure the likelihood of held-out reviews with the right, no and another review's vector.

    Args:
        module: the module with the aligned adapter.
        data: the data module of the alignment.
        task: the task.
        show: whether a progress bar is shown.

    Returns:
        The means over reviews; None if no held-out review suits the task.
    """
    plain = data.plain("val", task)
    if not len(plain):
        return None
    means = {branch: mean_E for branch, (mean_E, _) in data.source.statistics(("his", "diff")).items()}
    variants: dict[str, Sequence[Request]] = {
        "right": plain,
        "absent": MappedRequests(plain, lambda _, request: without_vectors(request, means)),
    }
    if len({request.user for request in plain}) > 1:
        variants["another"] = with_others_vectors(plain, seed=0)
    nll: dict[str, list[float]] = {}
    with stage(f"alignment: {task}", len(plain) * len(variants), show=show) as advance:
        for name, requests in variants.items():
            nll[name] = _nll(module, data, data.of_task(requests, task), advance)
    score = Reconstruction(len(plain), fmean(nll["right"]), fmean(nll["absent"]))
    if "another" not in nll:
        return score
    gain = paired(nll["another"], nll["right"], [request.user for request in plain])
    return replace(score, another=fmean(nll["another"]), gain=gain.delta, gain_95=(gain.low, gain.high))


@torch.no_grad()
def _nll(
    module: PersonalizationModule, data: AlignmentData, requests: Sequence[Request], advance: Callable[[float], None]
) -> list[float]:
    """Compute the likelihood of each request's review in nats per token, in the order of `requests`."""
    prompts, found = data.prompts(requests), list[float]()
    size = data.batching.eval_batch
    for start in range(0, len(prompts), size):
        rows = range(start, min(start + size, len(prompts)))
        sums, counts = module.example_nll(data.collate([prompts[at] for at in rows]).to(module.device))
        found += (sums / counts).tolist()
        advance(len(rows))
    return found


def without_vectors(request: Request, means: Mapping[Branch, Tensor]) -> Request:
    """Return the request with the mean vectors of training reviews in the place of its own."""

    def mean(own: Tensor | None, branch: Branch) -> Tensor | None:
        return None if own is None else means[branch].expand_as(own)

    def slot_without(slot: Slot) -> Slot:
        return replace(slot, his=mean(slot.his, "his"), diff=mean(slot.diff, "diff"))

    def history_without(history: UserHistory) -> UserHistory:
        return replace(history, his=means["his"].expand_as(history.his), diff=mean(history.diff, "diff"))

    history = None if request.user_history is None else history_without(request.user_history)
    return replace(request, slots=tuple(map(slot_without, request.slots)), user_history=history)
