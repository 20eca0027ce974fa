"""The one training loop: a Lightning Trainer, its checkpoints and its way back into an interrupted run.

A run can be interrupted anywhere and goes on from the last finished epoch, to the same weights as one that
was never interrupted, provided that the order of the training batches depends on the seed and the epoch
alone. The data module reads `self.trainer.current_epoch` when the first batch of an epoch is drawn, not when
the loader is built: Lightning builds it, to count the steps, before it has restored the epoch.

Lightning's own `.ckpt` files are pickles. They stay inside the run folder and are read with
`weights_only=True`, which runs no code; what leaves the folder is the adapter in safetensors.
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
from dep.utils.errors import DepError
from dep.utils.lightning import pl

_MEANT = (
    r"Found \d+ module\(s\) in eval mode",  # the frozen backbone
    r"Experiment logs directory",  # an interrupted run's; its rows are carried over
    r"Checkpoint directory .* exists",
)
"""Lightning's warnings about what is done here on purpose."""


class Train:
    """Fits a LightningModule into a run folder."""

    def __init__(self, config: TrainConfig, name: str = "") -> None:
        """Keep the settings; `throughput` measures what `fit` does, `name` is the arm's, for messages."""
        self.config, self.name = config, name
        self.throughput = Throughput()

    def fit(
        self,
        module: pl.LightningModule,
        data: pl.LightningDataModule,
        folder: Path,
        loggers: Sequence[Any] = (),
    ) -> Path:
        """Train, or go on training, and leave `module` with the weights of the best epoch.

        Args:
            module: a `LitDEP`.
            data: train and validation batches; batches have `micro_batch` examples.
            folder: the run's; gets metrics.csv and checkpoints/{best,last}.ckpt.
            loggers: of Lightning, beside the CSV.

        Returns:
            The best epoch's checkpoint.

        Raises:
            ValueError: where the batch sizes do not divide, or the folder holds a run of another
                configuration.
            KeyboardInterrupt: the user's.
        """
        pl.seed_everything(self.config.seed, verbose=False)
        last = folder / "checkpoints" / "last.ckpt"
        resume = last if last.exists() else None
        if last.is_file():
            read_checkpoint(last)  # refuses a damaged one by name
        with warnings.catch_warnings():
            for message in _MEANT:
                warnings.filterwarnings("ignore", message)
            trainer = self.trainer(folder, loggers)
            try:
                trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
            except SystemExit as left:  # Lightning's answer to Ctrl-C, after which nobody would say a word
                raise KeyboardInterrupt from left
        best = folder / "checkpoints" / "best.ckpt"
        if best.is_dir():
            pl.utilities.rank_zero_warn(
                f"{best} is in DeepSpeed's own format: the weights stay those of the last epoch, not of the best"
            )
        elif best.is_file():
            state = read_checkpoint(best)
            module.on_load_checkpoint(state)
            module.load_state_dict(state["state_dict"], strict=False)
        return best

    def trainer(self, folder: Path, loggers: Sequence[Any] = ()) -> pl.Trainer:
        """A Trainer that writes into `folder`.

        Raises:
            ValueError: where `effective_batch` is no multiple of `micro_batch` times the devices.
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
            logger=[self._table(folder), *loggers],
            callbacks=self._callbacks(folder),
            enable_progress_bar=False,  # `Bar` is the package's own
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,  # the data module shares out an epoch itself
            log_every_n_steps=1,
        )
        together = c.micro_batch * trainer.world_size
        if c.effective_batch % together:
            raise DepError(
                f"train.effective_batch: expected a multiple of micro_batch x devices = {together}, found "
                f"{c.effective_batch}; change one of them"
            )
        trainer.accumulate_grad_batches = c.effective_batch // together
        return trainer

    def _callbacks(self, folder: Path) -> list[Any]:
        checkpoint, where = pl.callbacks.ModelCheckpoint, folder / "checkpoints"
        mode = "max" if self.config.monitor == "val_meteor" else "min"
        shared: dict[str, Any] = {"save_on_train_epoch_end": True, "enable_version_counter": False}
        best = checkpoint(where, "best", monitor=self.config.monitor, mode=mode, save_top_k=1, **shared)
        last = checkpoint(where, "last", every_n_epochs=1, **shared)  # after `best`, whose record it carries
        bar = [Bar(self.throughput)] if self.config.progress else []
        return [StopWhenDiverged(folder, self.name), self.throughput, *bar, best, last]

    def _table(self, folder: Path) -> Any:
        earlier = _finished_rows(folder)
        table = pl.loggers.CSVLogger(folder, name="", version="")
        rows = table.experiment.metrics
        if isinstance(rows, list):  # only the first process has a table, and it starts an empty one
            rows.extend(earlier)
        return table


def _finished_rows(folder: Path) -> list[dict[str, Any]]:
    """What metrics.csv says about the epochs that the last checkpoint holds."""
    table, last = folder / "metrics.csv", folder / "checkpoints" / "last.ckpt"
    if not table.is_file() or not last.is_file():
        return []
    steps = read_checkpoint(last)["global_step"]
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
