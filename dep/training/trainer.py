"""The training loop: a Lightning Trainer with checkpoints, which resumes an interrupted training.

A training can be interrupted at any time. It resumes from the last finished epoch and gives the weights of an
uninterrupted one, because the order of the training batches depends on seed and epoch alone. The data module reads
`self.trainer.current_epoch` when the first batch of an epoch is drawn, since Lightning builds the loader, to count the
steps, before it restores the epoch.

Lightning's `.ckpt` files are pickles. They stay inside the run's folder and are read with `weights_only=True`, which
runs no code; the result is an adapter in safetensors.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from dep.training.settings import TrainConfig
from dep.training.throughput import Bar, Throughput
from dep.utils.errors import DepError
from dep.utils.lightning import pl

_EXPECTED = (
    r"Found \d+ module\(s\) in eval mode",  # the frozen backbone
    r"Experiment logs directory",  # an interrupted run's; its rows are carried over
    r"Checkpoint directory .* exists",
)
"""Warnings of Lightning about things that are done here on purpose."""


class Train:
    """Trains a LightningModule and writes into a folder."""

    def __init__(self, config: TrainConfig) -> None:
        """Store the settings; `throughput` measures `fit`."""
        self.config = config
        self.throughput = Throughput()

    def fit(
        self,
        module: pl.LightningModule,
        data: pl.LightningDataModule,
        folder: Path,
        loggers: Sequence[Any] = (),
    ) -> Path:
        """Train, or resume, and load the weights of the best epoch into `module`.

        Args:
            module: a `PersonalizationModule`.
            data: train and validation batches of `micro_batch` examples.
            folder: gets metrics.csv and checkpoints/{best,last}.ckpt.
            loggers: Lightning loggers in addition to the CSV.

        Returns:
            Path of the best epoch's checkpoint.

        Raises:
            DepError: the batch sizes do not divide, or the folder holds a training with other settings.
            KeyboardInterrupt: the user pressed Ctrl-C.
        """
        pl.seed_everything(self.config.seed, verbose=False)
        last = folder / "checkpoints" / "last.ckpt"
        resume = last if last.exists() else None
        with warnings.catch_warnings():
            for message in _EXPECTED:
                warnings.filterwarnings("ignore", message)
            trainer = self.trainer(folder, loggers)
            try:
                trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
            except SystemExit as error:  # Lightning's answer to Ctrl-C
                raise KeyboardInterrupt from error
        best = folder / "checkpoints" / "best.ckpt"
        if best.is_dir():
            pl.utilities.rank_zero_warn(
                f"{best} is in DeepSpeed's own format: the weights stay those of the last epoch, not of the best"
            )
        elif best.is_file():
            state = torch.load(best, map_location="cpu", weights_only=True)
            module.on_load_checkpoint(state)
            module.load_state_dict(state["state_dict"], strict=False)
        return best

    def trainer(self, folder: Path, loggers: Sequence[Any] = ()) -> pl.Trainer:
        """A Trainer that writes into `folder`.

        Raises:
            DepError: `effective_batch` is not a multiple of `micro_batch` times the devices.
        """
        c = self.config
        trainer = pl.Trainer(
            max_epochs=c.epochs,
            accelerator="auto",
            devices=c.devices,
            strategy=_strategy(c.strategy),
            precision=_precision(c.precision),
            gradient_clip_val=c.grad_clip or None,
            logger=[self._table(folder), *loggers],
            callbacks=self._callbacks(folder),
            enable_progress_bar=False,  # `Bar` is the package's own
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,  # the data module distributes an epoch itself
            log_every_n_steps=1,
        )
        at_once = c.micro_batch * trainer.world_size
        if c.effective_batch % at_once:
            raise DepError(
                f"train.effective_batch: expected a multiple of micro_batch x devices = {at_once}, found "
                f"{c.effective_batch}; change one of them"
            )
        trainer.accumulate_grad_batches = c.effective_batch // at_once
        return trainer

    def _callbacks(self, folder: Path) -> list[Any]:
        checkpoint, where = pl.callbacks.ModelCheckpoint, folder / "checkpoints"
        mode = "max" if self.config.monitor == "val_meteor" else "min"
        shared: dict[str, Any] = {"save_on_train_epoch_end": True, "enable_version_counter": False}
        best = checkpoint(where, "best", monitor=self.config.monitor, mode=mode, save_top_k=1, **shared)
        last = checkpoint(where, "last", every_n_epochs=1, **shared)  # after `best`, whose record it carries
        bar = [Bar(self.throughput)] if self.config.progress else []
        return [self.throughput, *bar, best, last]

    def _table(self, folder: Path) -> Any:
        earlier = _finished_rows(folder)
        table = pl.loggers.CSVLogger(folder, name="", version="")
        rows = table.experiment.metrics
        if isinstance(rows, list):  # only the first process has a table, which starts empty
            rows.extend(earlier)
        return table


def _finished_rows(folder: Path) -> list[dict[str, Any]]:
    """Rows of metrics.csv for the epochs that the last checkpoint includes."""
    table, last = folder / "metrics.csv", folder / "checkpoints" / "last.ckpt"
    if not table.is_file() or not last.is_file():
        return []
    steps = torch.load(last, map_location="cpu", weights_only=True)["global_step"]
    with table.open(newline="") as file:
        return [row for row in csv.DictReader(file) if int(row["step"]) < steps]


def _precision(name: str) -> Any:
    if name != "auto":
        return name
    return "bf16-mixed" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "32-true"


def _strategy(name: str) -> Any:
    if name == "deepspeed_stage_1":
        return pl.strategies.DeepSpeedStrategy(stage=1, exclude_frozen_parameters=True)
    return name
