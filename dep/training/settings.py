"""Settings of training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from dep.training.align_settings import AlignConfig
from dep.training.schedule import Schedule, WarmUp
from dep.utils.fields import RUNTIME

WindowLoss = Literal["examples", "tokens"]


class UserTraining(NamedTuple):
    """How a LoRA is trained for one user; `OPPU.Config` explains the fields."""

    rank: int
    lr: float
    epochs: int
    batch: int
    reviews: int
    others: bool = False
    """Whether each user gets the LoRA of another user."""


@dataclass
class TrainConfig:
    """How the adapter is trained; the defaults are those of Appendix C.2.2."""

    optimizer: Literal["adamw", "muon"] = "adamw"
    """`adamw` (the paper), or `muon`, which trains linear layers by Muon and the rest by AdamW in far fewer steps."""
    lr: float = 1e-5
    """Peak learning rate of AdamW."""
    muon_lr: float = 0.02
    """Peak learning rate of Muon."""
    weight_decay: float = 0.025
    """Decoupled weight decay."""
    decay_biases: bool = True
    """Whether weight decay also applies to biases and the weights of norm layers; it does not in the public code."""
    warmup_ratio: float = 0.01
    """Share of the optimizer steps in which the learning rate warms up."""
    warmup: WarmUp = "from_share"
    """How the warm-up of w steps starts. `from_share`: with 1/w of the peak; w is rounded. `from_zero`: with a learning
    rate of 0; w is rounded up (the public code, which uses Hugging Face's trainer)."""
    schedule: Schedule = "linear"
    """How the learning rate falls after the warm-up."""
    epochs: int = 5
    """Number of passes over the training examples; the paper says 5 in its main text and at most 8 in its appendix."""
    warm_start_epochs: int = 0
    """Number of the `epochs` that are spent on the arm that `warm_start` names; this arm continues from that arm's
    adapter for the remaining epochs. Text explains most of the signal, so a warm start without text trains the adapter
    first. Arms with the same warm start share it. With 0 every arm starts untrained."""
    align: AlignConfig = field(default_factory=AlignConfig)
    """The alignment stage before this training; off by default."""
    max_examples: int | None = None
    """Largest number of training examples, a sample that is the same for every arm and seed; None takes all."""
    calibrate: bool | None = None
    """Whether an adapter at the LLM's output fits how much recall counts once more after the training, on the
    validation users, whose reviews it has not seen; others ignore it. None: no."""
    history: int = 0
    """Number of past reviews in a training prompt; 0 takes `prompt.history`. An adapter computes each review's soft
    tokens independently of other reviews, so that an adapter trained with few reviews also works in prompts with
    many."""
    input_noise: float = 0.0
    """Standard deviation of the Gaussian noise that training adds to the compressor's input from the second epoch on; 0
    in the paper. With `soft_prompt.standardize`, each component's own standard deviation is the unit. Eq. 8 still
    compares vectors without noise. Noise keeps the adapter from memorising individual reviews."""
    effective_batch: int = 16
    """Number of examples in an optimizer step, over all devices."""
    micro_batch: int = 1
    """Number of examples that a device processes at a time; gradients accumulate over `effective_batch` examples."""
    window_loss: WindowLoss = "examples"
    """What the language loss of an optimizer step is averaged over. `examples`: the mean per token of each example
    counts equally. `tokens`: each token counts equally, so that longer reviews count more (the public code)."""
    token_weights: Literal["uniform", "history"] = "uniform"
    """How much the tokens of a review count in the training loss (Eq. 11). `uniform`: equally. `history`: more if the
    past reviews, shown to the frozen LLM as text, make them likelier than the request alone does (NextQuill); the
    weights of a review have mean 1. Validation and test count tokens equally in any case."""
    last_window: Literal["fill", "short"] = "fill"
    """What happens if too few examples are left for an epoch's last optimizer step. `fill`: the epoch's first examples
    are added. `short`: the step takes only those that are left (the public code; on one device). With `short` the total
    number of steps is also the public code's, which counts only full steps, so that the last epoch ends a few steps
    early."""
    max_tokens_per_forward: int = field(default=0, metadata=RUNTIME)
    """Largest number of real tokens that the LLM reads at a time; with 0 it reads a whole micro batch. This bounds
    memory if prompts differ in length, and changes no result."""
    packing: Literal["auto", "always", "never"] = "auto"
    """Whether the examples of a micro batch are put into one row, so that there is no padding; `auto` does so with
    flash attention or FlexAttention."""
    cross_entropy: Literal["chunked", "cut"] = "chunked"
    """How memory for logits is saved. `chunked`: they are computed in parts. `cut`: they are never stored (Apple's cut
    cross-entropy, which needs the extra `gpu` and an LLM whose output head is a single matrix)."""
    lambda_: float = 100.0
    """λ in Eq. 11. The public code does not divide the auxiliary losses by its 16 accumulation steps, so that its λ of
    100 corresponds to 1600 here."""
    gamma: float = 1e-3
    """γ in Eq. 11."""
    grad_clip: float = 1.0
    """Norm to which larger gradients are clipped; 0 turns clipping off."""
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    """Number format of the computation. `auto` is bf16-mixed on a GPU with bfloat16, else 32-true. Trained weights are
    float32 in both."""
    strategy: Literal["auto", "ddp", "deepspeed_stage_1", "fsdp"] = "auto"
    """Lightning's strategy, which says how several devices share the work."""
    devices: int = field(default=1, metadata=RUNTIME)
    """Number of devices; -1 takes all."""
    monitor: Literal["val_meteor", "val_nll"] = "val_meteor"
    """The validation metric that selects the best epoch: METEOR of generated texts (the paper), or the likelihood."""
    seed: int = 0
    """Seed of everything random in training."""
    progress: bool = field(default=True, metadata=RUNTIME)
    """Whether training shows a progress bar."""
