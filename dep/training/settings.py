"""Settings of the training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dep.training.schedule import Schedule
from dep.utils.fields import RUNTIME


@dataclass
class TrainConfig:
    """How the soft prompt is trained; the defaults are Appendix C.2.2's."""

    optimizer: Literal["adamw", "muon"] = "adamw"
    """AdamW (the paper), or Muon for the weights of linear layers and AdamW for the rest: far fewer steps."""
    lr: float = 1e-5
    """Peak learning rate of AdamW."""
    muon_lr: float = 0.02
    """Peak learning rate of Muon."""
    weight_decay: float = 0.025
    """Decoupled weight decay."""
    warmup_ratio: float = 0.01
    """Share of the optimizer steps over which the learning rate rises."""
    schedule: Schedule = "linear"
    """How the learning rate falls afterwards."""
    epochs: int = 5
    """Passes over the training examples (5 in the main text, at most 8 in the appendix)."""
    warm_start_epochs: int = 0
    """How many of them train the arm that `warm_start` names; this arm continues from its adapter for the others.
    Review text in the prompt explains most of what the vectors could, so that an adapter learns little beside it;
    epochs without text train the adapter first. 0: every arm starts untrained."""
    history: int = 0
    """Past reviews in a training prompt, where that shall be another number than `prompt.history` (0: the same). An
    adapter speaks for one review at a time: taught on a few, it serves prompts of many."""
    input_noise: float = 0.0
    """Standard deviation of Gaussian noise on every component of what the compressor sees in training (with
    `soft_prompt.standardize`, in units of that component's own deviation), on all passes over the examples but the
    first; Eq. 8 still rebuilds the vectors without it. A soft prompt that meets a review again and can tell it from
    all others learns whose it is by heart; 0 in the paper."""
    effective_batch: int = 16
    """Examples an optimizer step averages over, on all devices together."""
    micro_batch: int = 1
    """Examples on a device at a time; gradients accumulate up to `effective_batch`."""
    max_tokens_per_forward: int = field(default=0, metadata=RUNTIME)
    """Real tokens that the LLM reads at a time (0: a whole micro batch): bounds the memory where prompts differ in
    length, and changes no number."""
    packing: Literal["auto", "always", "never"] = "auto"
    """Examples of a micro batch one behind the other in one row, without padding; `auto` where flash attention or
    FlexAttention is in force."""
    cross_entropy: Literal["chunked", "cut"] = "chunked"
    """How the head's logits are kept out of memory: made in parts, or not at all, by Apple's cut cross-entropy
    (extra `gpu`), for heads that are a matrix and no more."""
    lambda_: float = 100.0
    """λ of Eq. 11. The paper's public code does not divide this part by the accumulation steps: 1600
    there."""
    gamma: float = 1e-3
    """γ of Eq. 11."""
    grad_clip: float = 1.0
    """Largest norm of the gradient; 0 does not clip."""
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    """`auto` is bf16-mixed on CUDA that has bfloat16, else 32-true. The trained weights are float32 in
    both."""
    strategy: Literal["auto", "ddp", "deepspeed_stage_1", "fsdp"] = "auto"
    """How several devices share the work."""
    devices: int = field(default=1, metadata=RUNTIME)
    """How many; -1 takes all."""
    monitor: Literal["val_meteor", "val_nll"] = "val_meteor"
    """Which validation metric picks the epoch: METEOR (the paper; costs generation) or the likelihood."""
    seed: int = 0
    """Of everything random in training."""
    progress: bool = field(default=True, metadata=RUNTIME)
    """Whether to show a progress bar."""
