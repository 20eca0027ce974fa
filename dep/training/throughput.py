"""Throughput of training: examples and tokens a second, shares of padding and of waiting for data, utilisation.

Utilisation is the rate of the operations that the real tokens need, divided by the device's peak rate.
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
"""Dense bfloat16 operations a second by data sheet; H100 is the SXM version."""


@dataclass
class Pace:
    """Counts over `seconds` of training, of which `waited` seconds went to waiting for the next batch."""

    examples: int = 0
    tokens: int = 0
    cells: int = 0
    """Positions computed: tokens and padding."""
    flops: float = 0.0
    seconds: float = 0.0
    waited: float = 0.0

    def rates(self, peak: float = 0.0) -> dict[str, float]:
        """Rates a second, shares, and the utilisation of a device with `peak` operations a second, by name."""
        spent = max(self.seconds, 1e-9)
        rates = {
            "examples_per_second": self.examples / spent,
            "tokens_per_second": self.tokens / spent,
            "padding_share": 1 - self.tokens / max(self.cells, 1),
            "waiting_share": self.waited / spent,
        }
        return rates | ({"utilisation": self.flops / spent / peak} if peak else {})

    def line(self, peak: float = 0.0) -> str:
        """The rates as a line of text."""
        rates = self.rates(peak)
        words = [
            f"{_short(rates['examples_per_second'])} examples/s, {_short(rates['tokens_per_second'])} tokens/s",
            f"{rates['padding_share']:.0%} padding",
            f"{rates['waiting_share']:.0%} waiting for data",
            *([f"{rates['utilisation']:.0%} of the device's peak"] if peak else []),
        ]
        return ", ".join(words)


class Throughput(pl.Callback):
    """Measures the pace of training without validation.

    Args:
        log: called with the rates of each optimizer step.
    """

    def __init__(self, log: Callable[[Mapping[str, float]], None] | None = None) -> None:
        self.log_to, self.pace, self.peak = log, Pace(), 0.0
        self._step, self._taken, self._since = Pace(), 0, time.perf_counter()
        self._coefficients: tuple[float, float, float] | None = None

    def on_train_epoch_start(self, trainer: pl.Trainer, module: Any) -> None:
        """Start the clock."""
        self.peak = peak_flops() if module.device.type == "cuda" else 0.0
        self._since, self._taken = time.perf_counter(), trainer.global_step

    def on_train_batch_start(self, trainer: pl.Trainer, module: Any, batch: Batch, batch_idx: int) -> None:
        """Count the time up to here as data wait."""
        self._tick(waited=True)

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Count the batch, and log the rates after an optimizer step."""
        self._tick()
        lengths_B = batch.attention_mask.sum(1)
        tokens = int(lengths_B.sum())
        cells = tokens if module.packs else batch.attention_mask.numel()
        flops = 0.0
        if self.peak:
            each, predicted, squared = self._flops(module)
            flops = (
                each * tokens + predicted * int((batch.labels != IGNORE).sum()) + squared * int((lengths_B**2).sum())
            )
        for pace in (self.pace, self._step):
            pace.examples += len(batch.keys)
            pace.tokens += tokens
            pace.cells += cells
            pace.flops += flops
        if trainer.global_step > self._taken:
            if self.log_to:
                self.log_to(self._step.rates(self.peak))
            self._step, self._taken = Pace(), trainer.global_step

    def _tick(self, waited: bool = False) -> None:
        now = time.perf_counter()
        for pace in (self.pace, self._step):
            pace.seconds += now - self._since
            pace.waited += (now - self._since) * waited
        self._since = now

    def _flops(self, module: Any) -> tuple[float, float, float]:
        """Operations of a step per token, per predicted token, and per squared token of a row."""
        if self._coefficients is None:
            shape = module.backbone.config
            one, two = training_flops(shape, 1, 0), training_flops(shape, 2, 0)
            squared = (two - 2 * one) / 2
            self._coefficients = one - squared, training_flops(shape, 0, 1), squared
        return self._coefficients


class Bar(pl.Callback):
    """Progress bar over all epochs in micro batches, with the pace."""

    def __init__(self, throughput: Throughput) -> None:
        self.throughput, self.open = throughput, ExitStack()

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Open the bar, at the position where the run starts or continues."""
        if trainer.is_global_zero:
            total = trainer.num_training_batches * (trainer.max_epochs or 1)
            self.advance = self.open.enter_context(stage("train", total))
            self.advance(trainer.fit_loop.epoch_progress.current.completed * trainer.num_training_batches)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Advance the bar."""
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
    """Peak bfloat16 operations a second of this GPU; 0 if `_PEAKS` does not list it."""
    name = torch.cuda.get_device_name()
    return next((peak for part, peak in _PEAKS.items() if part in name), 0.0)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
