"""Runs training by a Lightning Trainer, with checkpoints from which an interrupted run continues.

An interrupted run continues from the last finished epoch. It ends with the same weights as an uninterrupted run if the
order of the training batches depends only on the seed and the epoch. For this the data module must read
`self.trainer.current_epoch` when it draws the first batch of an epoch, and not when it builds the loader, since
Lightning builds the loader (to count the steps) before it restores the epoch.

Lightning's `.ckpt` files are pickles. They stay in the run folder and are read with `weights_only=True`, which runs no
code. The adapter that is passed on is a safetensors file.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from dep.training.checkpoints import AtomicCheckpoints, read_checkpoint
from dep.training.divergence import StopWhenDiverged
from dep.training.settings import TrainConfig
from dep.training.throughput import Bar, Throughput
from dep.training.windows import StopAtLastStep
from dep.utils.errors import DepError
from dep.utils.lightning import pl

_EXPECTED_WARNINGS = (
    r"Found \d+ module\(s\) in eval mode",  # the frozen backbone
    r"Experiment logs directory",  # of an interrupted run, whose rows are carried over
    r"Checkpoint directory .* exists",
)
"""Patterns of Lightning's warnings about behaviour that is intended here."""


class Train:
    """Trains a LightningModule and keeps its files in a run folder."""

    def __init__(self, config: TrainConfig, name: str = "") -> None:
        """Store the settings; `throughput` measures the speed of `fit`, and messages show `name`, the arm's name."""
        self.config, self.name = config, name
        self.throughput = Throughput()

    def fit(
        self,
        module: pl.LightningModule,
        data: pl.LightningDataModule,
        folder: Path,
        loggers: Sequence[Any] = (),
    ) -> Path:
        """Train or continue an interrupted training, and then load the best epoch's weights into `module`.

        Args:
            module: a `PersonalizationModule`.
            data: the data module with batches for training and validation.
            folder: the run folder, into which metrics.csv and checkpoints/{best,last}.ckpt are written.
            loggers: Lightning loggers that are used in addition to the CSV file.

        Returns:
            The path of the best epoch's checkpoint.

        Raises:
            DepError: `effective_batch` is not a multiple of `micro_batch` times the number of devices, or the folder
                holds a run with other settings.
            KeyboardInterrupt: the user pressed Ctrl-C.
        """
        pl.seed_everything(self.config.seed, verbose=False)
        last = folder / "checkpoints" / "last.ckpt"
        resume = last if last.exists() else None
        with warnings.catch_warnings():
            for message in _EXPECTED_WARNINGS:
                warnings.filterwarnings("ignore", message)
            trainer = self.trainer(folder, loggers)
            try:
                trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
            except SystemExit as stop:  # Lightning exits on Ctrl-C; the caller has to report the interruption
                raise KeyboardInterrupt from stop
        best = folder / "checkpoints" / "best.ckpt"
        if best.is_dir():
            pl.utilities.rank_zero_warn(
                f"{best} is in DeepSpeed's own format: the module keeps the weights of the last epoch, not of the best"
            )
        elif best.is_file():
            state = read_checkpoint(best)
            module.on_load_checkpoint(state)
            module.load_state_dict(state["state_dict"], strict=False)
        return best

    def trainer(self, folder: Path, loggers: Sequence[Any] = ()) -> pl.Trainer:
        """Build a Trainer that writes into `folder`.

        Raises:
            DepError: `effective_batch` is not a multiple of `micro_batch` times the number of devices.
        """
        c = self.config
        trainer = pl.Trainer(
            max_epochs=c.epochs,
            accelerator="auto",
            devices=c.devices,
            strategy=_strategy(c.strategy),
            precision=_precision(c.precision),
            plugins=[AtomicCheckpoints()] if c.strategy in ("auto", "ddp") else [],  # the others shard their files
            gradient_clip_val=c.grad_clip or None,
            logger=[self._csv_logger(folder), *loggers],
            callbacks=self._callbacks(folder),
            enable_progress_bar=False,  # the package has its own, `Bar`
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,  # the data module divides an epoch among the devices itself
            log_every_n_steps=1,
        )
        examples_at_once = c.micro_batch * trainer.world_size
        if c.effective_batch % examples_at_once:
            raise DepError(
                f"train.effective_batch: expected a multiple of micro_batch x devices = {examples_at_once}, found "
                f"{c.effective_batch}; change one of them"
            )
        if c.last_window == "short" and trainer.world_size > 1:
            raise DepError(
                "train.last_window", "fill, with several devices", "short", "use one device, or train.last_window=fill"
            )
        trainer.accumulate_grad_batches = c.effective_batch // examples_at_once
        return trainer

    def _callbacks(self, folder: Path) -> list[Any]:
        checkpoint, target = pl.callbacks.ModelCheckpoint, folder / "checkpoints"
        mode = "max" if self.config.monitor == "val_meteor" else "min"
        shared: dict[str, Any] = {"save_on_train_epoch_end": True, "enable_version_counter": False}
        best = checkpoint(target, "best", monitor=self.config.monitor, mode=mode, save_top_k=1, **shared)
        last = checkpoint(target, "last", every_n_epochs=1, **shared)  # after `best`, whose state it includes
        bar = [Bar(self.throughput)] if self.config.progress else []
        stop = [StopAtLastStep(self.config)] if self.config.last_window == "short" else []
        return [StopWhenDiverged(folder, self.name), self.throughput, *bar, *stop, best, last]

    def _csv_logger(self, folder: Path) -> Any:
        earlier_rows = _finished_rows(folder)
        logger = pl.loggers.CSVLogger(folder, name="", version="")
        rows = logger.experiment.metrics
        if isinstance(rows, list):  # only the first process has a list, and it is empty at the start
            rows.extend(earlier_rows)
        return logger


def _finished_rows(folder: Path) -> list[dict[str, Any]]:
    """Read the rows of metrics.csv up to the last checkpoint, if there are both; each row maps columns to text."""
    table, last = folder / "metrics.csv", folder / "checkpoints" / "last.ckpt"
    if not last.is_file():
        return []
    steps = read_checkpoint(last)["global_step"]  # refuses a damaged one by name, before Lightning reads it
    if not table.is_file():
        return []
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
