"""Ends a training at the step at which its loss is no longer finite, and stores what helps to find out why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dep.models.adapters.files import write_tensors
from dep.types import Batch
from dep.utils.errors import DepError
from dep.utils.lightning import pl

FILE = "diverged.safetensors"


class Diverged(DepError):
    """Raised when a loss or a weight is infinite or not a number."""


class StopWhenDiverged(pl.Callback):
    """Ends a training at the first loss that is not finite, before any checkpoint is written.

    Args:
        folder: the folder that the batch of that step is written to.
        name: the arm and seed, for the error message.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Check the loss of a micro batch.

        Raises:
            Diverged: the loss is not finite.
        """
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        if isinstance(loss, Tensor) and not bool(torch.isfinite(loss).all()):
            self._stop(trainer, module.last_losses, batch)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: Any) -> None:
        """Check the trained weights, since the epoch's last step may have made them infinite.

        Raises:
            Diverged: a weight is not finite.
        """
        for name, parameter in module.named_parameters():
            if parameter.requires_grad and not bool(torch.isfinite(parameter).all()):
                self._stop(trainer, {name: parameter.detach()}, None)

    def on_validation_end(self, trainer: pl.Trainer, module: Any) -> None:
        """Check the metrics of the validation.

        Raises:
            Diverged: a metric is not finite.
        """
        measured = {name: value for name, value in trainer.callback_metrics.items() if name.startswith("val_")}
        if any(not bool(torch.isfinite(value).all()) for value in measured.values()):
            self._stop(trainer, measured, None)

    def _stop(self, trainer: pl.Trainer, terms: dict[str, Tensor], batch: Batch | None) -> None:
        shown = ", ".join(f"{name} {float(value.float().abs().max()):.4g}" for name, value in terms.items())
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        saved = ""
        if batch is not None:
            write_tensors(self.folder / FILE, _tensors(batch))
            saved = f"; the batch is in {self.folder / FILE}"
        raise Diverged(
            f"train {self.name}, optimizer step {trainer.global_step}, learning rate {rate:.4g}",
            "finite losses",
            f"{shown}{saved}",
            "lower train.lr (and train.muon_lr), or set train.grad_clip; nothing of it was cached",
        )


def _tensors(batch: Batch) -> dict[str, Tensor]:
    """Return the ids, mask, labels and vectors of a batch by name."""
    tensors = {"ids": batch.ids, "attention_mask": batch.attention_mask, "labels": batch.labels}
    return tensors | {f"vectors.{branch}": value for branch, value in batch.vectors.items()}
