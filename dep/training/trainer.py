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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from dep.training.schedule import Schedule
from dep.training.throughput import Bar, Throughput
from dep.utils.lightning import pl

_MEANT = (
    r"Found \d+ module\(s\) in eval mode",  # the frozen backbone
    r"Experiment logs directory",  # an interrupted run's; its rows are carried over
    r"Checkpoint directory .* exists",
)
"""Lightning's warnings about what is done here on purpose."""


class Train:
    """Fits a LightningModule into a run folder."""

    @dataclass
    class Config:
        """How the soft prompt is trained; the defaults are Appendix C.2.2's."""

        optimizer: Literal["adamw", "muon"] = "adamw"
        """AdamW (the paper), or Muon for the weights of linear layers and AdamW for the rest: far fewer steps."""
        lr: float = 1e-5
        """Peak learning rate of AdamW."""
        muon_lr: float = 0.02
        """Peak learning rate of Muon."""
        weight_decay: float = 0.025
        """Decoupled weight decay."""
        warmup_ratio: float = 0.01
        """Share of the optimizer steps over which the learning rate rises."""
        schedule: Schedule = "linear"
        """How the learning rate falls afterwards."""
        epochs: int = 5
        """Passes over the training examples (5 in the main text, at most 8 in the appendix)."""
        textless_epochs: int = 0
        """How many of them go before the others, as a training of their own, on prompts without the past reviews'
        texts. The texts tell most of what the vectors can, so that beside them a soft prompt hears little to learn
        from; first alone, it learns to speak. An arm without texts may be that training, and is then made once."""
        history: int = 0
        """Past reviews in a training prompt, where that shall be another number than `prompt.history` (0: the same). An
        adapter speaks for one review at a time: taught on a few, it serves prompts of many."""
        input_noise: float = 0.0
        """Standard deviation of Gaussian noise on every component of what the compressor sees in training (with
        `soft_prompt.standardize`, in units of that component's own deviation), on all passes over the examples but the
        first; Eq. 8 still rebuilds the vectors without it. A soft prompt that meets a review again and can tell it from
        all others learns whose it is by heart; 0 in the paper."""
        effective_batch: int = 16
        """Examples an optimizer step averages over, on all devices together."""
        micro_batch: int = 1
        """Examples on a device at a time; gradients accumulate up to `effective_batch`."""
        max_tokens_per_forward: int = 0
        """Real tokens that the LLM reads at a time (0: a whole micro batch): bounds the memory where prompts differ in
        length, and changes no number."""
        packing: Literal["auto", "always", "never"] = "auto"
        """Examples of a micro batch one behind the other in one row, without padding; `auto` where flash attention or
        FlexAttention is in force."""
        cross_entropy: Literal["chunked", "cut"] = "chunked"
        """How the head's logits are kept out of memory: made in parts, or not at all, by Apple's cut cross-entropy
        (extra `gpu`), for heads that are a matrix and no more."""
        lambda_: float = 100.0
        """λ of Eq. 11. The paper's public code does not divide this part by the accumulation steps: 1600
        there."""
        gamma: float = 1e-3
        """γ of Eq. 11."""
        grad_clip: float = 1.0
        """Largest norm of the gradient; 0 does not clip."""
        precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
        """`auto` is bf16-mixed on CUDA that has bfloat16, else 32-true. The trained weights are float32 in
        both."""
        strategy: Literal["auto", "ddp", "deepspeed_stage_1", "fsdp"] = "auto"
        """How several devices share the work."""
        devices: int = 1
        """How many; -1 takes all."""
        monitor: Literal["val_meteor", "val_nll"] = "val_meteor"
        """Which validation metric picks the epoch: METEOR (the paper; costs generation) or the likelihood."""
        seed: int = 0
        """Of everything random in training."""
        progress: bool = True
        """Whether to show a progress bar."""

    def __init__(self, config: Config) -> None:
        """Keep the settings; `throughput` measures what `fit` does."""
        self.config = config
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
            state = torch.load(best, map_location="cpu", weights_only=True)
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
            raise ValueError(
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
        return [self.throughput, *bar, best, last]

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
