"""Settings of training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dep.training.schedule import Schedule, WarmUp
from dep.utils.fields import RUNTIME

WindowLoss = Literal["examples", "tokens"]


@dataclass
class TrainConfig:
    """How the adapter is trained; the defaults are those of Appendix C.2.2."""

    optimizer: Literal["adamw", "muon"] = "adamw"
    """AdamW (the paper), or Muon for weights of linear layers and AdamW for the rest, which needs far fewer steps."""
    lr: float = 1e-5
    """Peak learning rate of AdamW."""
    muon_lr: float = 0.02
    """Peak learning rate of Muon."""
    weight_decay: float = 0.025
    """Decoupled weight decay."""
    decay_biases: bool = True
    """Whether biases and the weights of norm layers decay too; the public code spares them (Hugging Face's trainer)."""
    warmup_ratio: float = 0.01
    """Share of the optimizer steps that are warm-up."""
    warmup: WarmUp = "from_share"
    """How the warm-up of w steps starts: `from_share`, with 1/w of the peak, w being rounded; or `from_zero`, with a
    learning rate of 0, w being rounded up (the public code, whose trainer is Hugging Face's)."""
    schedule: Schedule = "linear"
    """How the learning rate falls after the warm-up."""
    epochs: int = 5
    """Passes over the training examples: 5 in the paper's main text, at most 8 in its appendix."""
    warm_start_epochs: int = 0
    """Epochs in which the arm that `warm_start` names is trained; this arm continues from its adapter for the remaining
    ones. Text explains most of the signal, so a text-free warm start trains the adapter first. Arms with the same warm
    start share it. 0: every arm starts untrained."""
    history: int = 0
    """Past reviews in a training prompt; 0 takes `prompt.history`. An adapter computes the soft tokens of each review
    by itself, so one that is trained on few reviews also works in prompts with many."""
    input_noise: float = 0.0
    """Standard deviation of Gaussian noise that training adds to every component that the compressor reads, from the
    second epoch on; 0 in the paper. With `soft_prompt.standardize` it is in units of that component's deviation. Eq. 8
    still compares the vectors without noise. Noise keeps the adapter from memorising individual reviews."""
    effective_batch: int = 16
    """Examples of an optimizer step, on all devices together."""
    micro_batch: int = 1
    """Examples that a device processes at a time; gradients accumulate over `effective_batch`."""
    window_loss: WindowLoss = "examples"
    """What the language loss of an optimizer step averages: its `examples`, each by its mean per token, or all of its
    `tokens` (the public code), so that longer reviews count more."""
    last_window: Literal["fill", "short"] = "fill"
    """What an epoch's last optimizer step does if examples are missing: `fill` up with the epoch's first ones, or take
    the `short` rest (the public code; one device). `short` also counts steps as the public code does: each epoch as
    many as it has full windows, so that the last epoch ends a few steps early."""
    max_tokens_per_forward: int = field(default=0, metadata=RUNTIME)
    """Largest number of real tokens that the LLM reads at a time; 0: a whole micro batch. It bounds memory if prompts
    differ in length, and changes no number."""
    packing: Literal["auto", "always", "never"] = "auto"
    """Whether the examples of a micro batch are concatenated into one row without padding; `auto` does so with flash
    attention or FlexAttention."""
    cross_entropy: Literal["chunked", "cut"] = "chunked"
    """How memory for logits is saved: `chunked` computes them in parts, `cut` never stores them (Apple's cut
    cross-entropy, extra `gpu`; only for LLMs whose head is a single matrix)."""
    lambda_: float = 100.0
    """λ of Eq. 11. The public code does not divide this part by its 16 accumulation steps, so its λ is 1600."""
    gamma: float = 1e-3
    """γ of Eq. 11."""
    grad_clip: float = 1.0
    """Largest norm of the gradient; 0 turns clipping off."""
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    """`auto` is bf16-mixed on a GPU with bfloat16, else 32-true. The trained weights are float32 in both."""
    strategy: Literal["auto", "ddp", "deepspeed_stage_1", "fsdp"] = "auto"
    """How several devices share the work (a strategy of Lightning)."""
    devices: int = field(default=1, metadata=RUNTIME)
    """How many devices; -1 takes all."""
    monitor: Literal["val_meteor", "val_nll"] = "val_meteor"
    """The validation metric that selects the best epoch: METEOR (the paper; generates texts) or the likelihood."""
    seed: int = 0
    """Seed of everything random in training."""
    progress: bool = field(default=True, metadata=RUNTIME)
    """Whether training shows a progress bar."""
