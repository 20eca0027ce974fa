"""Weights the losses of micro batches so that their gradients add up to that of the optimizer step's loss.

The examples of an optimizer step are called its window. Lightning divides each micro batch's loss by the number of
micro batches in a full window, adds the gradients, and averages them over devices. With the weights of this module the
result is the gradient of the window's loss L, even if the last window is short. `train.window_loss` chooses between

    examples   L = mean over the window's examples of [L_gen + λ (L_recon + γ L_sparse)]
    tokens     L = Σ nll / Σ tokens + Σ over examples of λ (L_recon + γ L_sparse) / effective_batch

`tokens` is what Hugging Face's trainer does in the public code: it divides the language loss by the number of tokens in
the window, but adds up the auxiliary losses of the examples (the public code's λ of 100 is therefore 1600 here).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from dep.training.settings import TrainConfig, WindowLoss
from dep.types import IGNORE, Batch
from dep.utils.lightning import pl


def language_loss(nll_B: Tensor, tokens_B: Tensor, over: WindowLoss) -> Tensor:
    """Compute L_gen of a batch that is a window of its own.

    Args:
        nll_B: [B], the negative log likelihood of each example's target, in nats.
        tokens_B: [B], the number of tokens in each target.
        over: `examples` averages the examples' means per token; `tokens` averages over all tokens.

    Returns:
        A scalar, in nats per token.
    """
    return nll_B.sum() / tokens_B.sum() if over == "tokens" else (nll_B / tokens_B).mean()


def step_loss(losses: Mapping[str, Tensor], batch: Batch, config: TrainConfig) -> tuple[Tensor, dict[str, Tensor]]:
    """Weight the losses of a micro batch; return the loss to differentiate, and the scalars to log.

    Args:
        losses: the micro batch's own losses, with at least `lm` and `total`.
        batch: the micro batch; its `window_examples` is 0 if it is a window of its own or part of a full window.
        config: its batch sizes and `window_loss` are used.

    Returns:
        The weighted loss, and `losses` weighted so that their mean over a device's micro batches in the step is the
        window's value.
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
    """Count the optimizer steps of a training.

    With `last_window="short"` the count is that of Hugging Face's trainer, which counts only full windows. Since a
    short window is a step as well, the last epoch ends early: 3,996 examples, 16 in a step, and 5 epochs give 1,245
    steps and not 1,250.
    """
    steps = int(trainer.estimated_stepping_batches)  # also sets up the loader, whose batches are counted below
    if config.last_window == "fill":
        return steps
    return config.epochs * max(1, int(trainer.num_training_batches) // trainer.accumulate_grad_batches)


class StopAtLastStep(pl.Callback):
    """Ends the training after the number of steps that `optimizer_steps` gives, and validates before it ends."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.steps = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compute the number of steps; a training that has already done them does not begin another epoch."""
        self.steps = optimizer_steps(trainer, self.config)
        trainer.fit_loop.epoch_loop.max_steps = self.steps

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any, **__: Any) -> None:
        """Ask Lightning to validate and stop when the last step is done."""
        if trainer.global_step >= self.steps:
            trainer.should_stop = True
