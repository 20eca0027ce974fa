"""The loss of an optimizer step (a window of examples) as the sum of what its micro batches contribute.

Lightning divides each micro batch's loss by the number of micro batches that make a full window, then sums (over
devices: averages) the gradients. The weights here make that sum the window's loss, also where the last window is short:

    examples   L = mean over the window's examples of [L_gen + λ (L_recon + γ L_sparse)]
    tokens     L = Σ nll / Σ tokens + Σ over examples of λ (L_recon + γ L_sparse) / effective_batch

`tokens` is Hugging Face's trainer, thus the public code: its language loss is divided by the window's tokens, while the
auxiliary losses of its examples are summed (with the public code's λ of 100, so λ = 1600 here).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from dep.training.settings import TrainConfig, WindowLoss
from dep.types import IGNORE, Batch
from dep.utils.lightning import pl


def language_loss(nll_B: Tensor, tokens_B: Tensor, over: WindowLoss) -> Tensor:
    """L_gen of a batch that is read by itself.

    Args:
        nll_B: [B] negative log likelihood of each example's target, in nats.
        tokens_B: [B] tokens of each target.
        over: `examples` averages the examples' means, `tokens` averages over all tokens.

    Returns:
        A scalar, in nats per token.
    """
    return nll_B.sum() / tokens_B.sum() if over == "tokens" else (nll_B / tokens_B).mean()


def step_loss(losses: Mapping[str, Tensor], batch: Batch, config: TrainConfig) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a micro batch to differentiate, and the scalars to log for it.

    Args:
        losses: of the batch read by itself, with at least `lm` and `total`.
        batch: a micro batch; `window_examples` is 0 if it is a window of its own, or part of a full one.
        config: batch sizes and `window_loss`.

    Returns:
        The loss to differentiate, and `losses` weighted so that their mean over a device's micro batches of the step
        is the window's value.
    """
    lm, auxiliary = losses["lm"], losses["total"] - losses["lm"]
    if not batch.window_examples:
        return losses["total"], dict(losses)
    rows, examples, micro = len(batch.keys), batch.window_examples, config.micro_batch
    if config.window_loss == "examples":
        if rows * config.effective_batch == examples * micro:  # a full window: its loss is not touched
            return losses["total"], dict(losses)
        return losses["total"] * (rows * config.effective_batch / (examples * micro)), dict(losses)
    share = int((batch.labels[:, 1:] != IGNORE).sum()) / batch.window_tokens
    loss = lm * (share * config.effective_batch / micro) + auxiliary * (rows / micro)
    logged = lm * (share * -(-examples // micro))
    return loss, {**losses, "lm": logged, "total": logged + auxiliary}


def optimizer_steps(trainer: pl.Trainer, config: TrainConfig) -> int:
    """How many optimizer steps a training takes.

    `last_window="short"` counts as Hugging Face's trainer does: only full windows count, but short ones are steps too,
    so that the last epoch ends before its last windows (3,996 examples, 16 a step, 5 epochs: 1,245 steps of 1,250).
    """
    steps = int(trainer.estimated_stepping_batches)  # also sets up the loader, whose batches are counted below
    if config.last_window == "fill":
        return steps
    return config.epochs * max(1, int(trainer.num_training_batches) // trainer.accumulate_grad_batches)


class StopAtLastStep(pl.Callback):
    """Ends the training at the number of steps that `optimizer_steps` gives, with the validation of its last epoch."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.steps = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count the steps; a training that has done them all already does not begin another epoch."""
        self.steps = optimizer_steps(trainer, self.config)
        trainer.fit_loop.epoch_loop.max_steps = self.steps

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any, **__: Any) -> None:
        """Ask Lightning to validate and stop once the last step is done."""
        if trainer.global_step >= self.steps:
            trainer.should_stop = True
