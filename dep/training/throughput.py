"""Measures the throughput of training: examples and tokens per second, and the shares of padding and of waiting.

Tokens are counted without padding. On a GPU with a known peak it also measures the utilisation: the floating-point
operations per second that the tokens need, divided by the peak.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch

from dep.models.backbones.cost import training_flops
from dep.types import IGNORE, Batch
from dep.utils.lightning import pl
from dep.utils.progress import stage

_PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12, "3090": 71e12}
"""Peak of dense bfloat16 operations per second, from data sheets; the key is a part of the GPU's name."""


@dataclass
class Pace:
    """Counts the training work in a span of time."""

    examples: int = 0
    tokens: int = 0
    """Number of tokens without padding."""
    cells: int = 0
    """Number of computed positions, that is, of tokens and padding."""
    flops: float = 0.0
    """Floating-point operations that the tokens need; 0 if the device's peak is unknown."""
    seconds: float = 0.0
    """Length of the span in seconds."""
    waited: float = 0.0
    """Seconds of the span that were spent waiting for the next batch."""

    def rates(self, peak: float = 0.0) -> dict[str, float]:
        """Compute the rates of this span by name.

        Args:
            peak: the device's peak in floating-point operations per second; 0 if it is unknown.

        Returns:
            Examples and tokens per second; padding as a share of positions, and waiting as a share of time; with a
            known peak also the utilisation. Shares and utilisation lie between 0 and 1.
        """
        seconds = max(self.seconds, 1e-9)
        rates = {
            "examples_per_second": self.examples / seconds,
            "tokens_per_second": self.tokens / seconds,
            "padding_share": 1 - self.tokens / max(self.cells, 1),
            "waiting_share": self.waited / seconds,
        }
        return rates | ({"utilisation": self.flops / seconds / peak} if peak else {})

    def line(self, peak: float = 0.0) -> str:
        """Format the rates as one line of text; see `rates` for `peak`."""
        rates = self.rates(peak)
        parts = [
            f"{_short(rates['examples_per_second'])} examples/s, {_short(rates['tokens_per_second'])} tokens/s",
            f"{rates['padding_share']:.0%} padding",
            f"{rates['waiting_share']:.0%} waiting for data",
            *([f"{rates['utilisation']:.0%} of the device's peak"] if peak else []),
        ]
        return ", ".join(parts)


class Throughput(pl.Callback):
    """Measures how fast training runs; time of validation does not count.

    Args:
        log: is called with the rates of each optimizer step; None to log nothing.
    """

    def __init__(self, log: Callable[[Mapping[str, float]], None] | None = None) -> None:
        self.log_to, self.pace, self.peak = log, Pace(), 0.0
        self._step, self._last_step, self._since = Pace(), 0, time.perf_counter()
        self._coefficients: tuple[float, float, float] | None = None

    def on_train_epoch_start(self, trainer: pl.Trainer, module: Any) -> None:
        """Start the clock anew, so that the time before this epoch (validation) does not count."""
        self.peak = peak_flops() if module.device.type == "cuda" else 0.0
        self._since, self._last_step = time.perf_counter(), trainer.global_step

    def on_train_batch_start(self, trainer: pl.Trainer, module: Any, batch: Batch, batch_idx: int) -> None:
        """Count the time since the last batch as waiting for data."""
        self._tick(waited=True)

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Count the batch; if an optimizer step has ended, log the rates of this step."""
        self._tick()
        lengths_B = batch.attention_mask.sum(1)
        tokens = int(lengths_B.sum())
        cells = tokens if module.packs else batch.attention_mask.numel()
        flops = 0.0
        if self.peak:
            per_token, per_predicted, per_square = self._flops(module)
            predicted, squares = int((batch.labels != IGNORE).sum()), int((lengths_B**2).sum())
            flops = per_token * tokens + per_predicted * predicted + per_square * squares
        for pace in (self.pace, self._step):
            pace.examples += len(batch.keys)
            pace.tokens += tokens
            pace.cells += cells
            pace.flops += flops
        if trainer.global_step > self._last_step:
            if self.log_to:
                self.log_to(self._step.rates(self.peak))
            self._step, self._last_step = Pace(), trainer.global_step

    def _tick(self, waited: bool = False) -> None:
        now = time.perf_counter()
        for pace in (self.pace, self._step):
            pace.seconds += now - self._since
            pace.waited += (now - self._since) * waited
        self._since = now

    def _flops(self, module: Any) -> tuple[float, float, float]:
        """Return a training step's operations per token, per predicted token, and per squared length of an example."""
        if self._coefficients is None:
            shape = module.backbone.config
            one, two = training_flops(shape, 1, 0), training_flops(shape, 2, 0)
            squared = (two - 2 * one) / 2
            self._coefficients = one - squared, training_flops(shape, 0, 1), squared
        return self._coefficients


class Bar(pl.Callback):
    """Shows a progress bar over all epochs, which counts micro batches and shows examples per second."""

    def __init__(self, throughput: Throughput) -> None:
        self.throughput, self.open = throughput, ExitStack()

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Open the bar; an interrupted run continues where it stopped."""
        if trainer.is_global_zero:
            total = trainer.num_training_batches * (trainer.max_epochs or 1)
            self.advance = self.open.enter_context(stage("train", total))
            self.advance(trainer.fit_loop.epoch_progress.current.completed * trainer.num_training_batches)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Advance the bar by one micro batch."""
        if trainer.is_global_zero:
            pace = self.throughput.pace
            self.advance(1, f"{_short(pace.rates()['examples_per_second'])} examples/s")

    def on_train_end(self, *_: object) -> None:
        """Close the bar."""
        self.open.close()

    def on_exception(self, *_: object) -> None:
        """Close the bar."""
        self.open.close()


def peak_flops() -> float:
    """Return the GPU's peak in dense bfloat16 operations per second; 0 if the GPU is not in the table."""
    name = torch.cuda.get_device_name()
    return next((peak for part, peak in _PEAKS.items() if part in name), 0.0)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
