"""The LightningModule that trains a soft prompt through a frozen LLM with the loss of Eq. 11.

    L_total = L_gen + λ (L_recon + γ L_sparse)

L_gen is called `lm` in logs. It is the negative log likelihood per token of the reviews, averaged over the examples or
over all tokens of an optimizer step (`train.window_loss`). The size of micro batches does not change it (`windows.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from dep.inference.capabilities import capabilities
from dep.inference.changed_output import changed_nll
from dep.inference.kept_prefixes import Segment, length
from dep.inference.likelihood import example_nll
from dep.inference.microbatching import in_microbatches, split_rows
from dep.inference.packing import PACKED, supports_packing
from dep.inference.prefix_cache import PrefixSpan, prefix_span
from dep.inference.prefix_store import PrefixStore
from dep.inference.target_states import TargetStates
from dep.models.adapters.files import (
    check_fingerprint,
    check_names,
    is_trainable,
    read_adapter,
    trainable_state,
    write_adapter,
)
from dep.models.backbones.fingerprint import fingerprint
from dep.models.losses import total_loss
from dep.models.soft_prompt import SoftPrompt, SoftPromptOutput
from dep.training.optimizers import Muon, without_decay
from dep.training.schedule import schedule_factor, warmup_steps
from dep.training.settings import TrainConfig
from dep.training.windows import language_loss, optimizer_steps, step_loss
from dep.types import IGNORE, Batch
from dep.utils.errors import DepError
from dep.utils.lightning import pl


class PersonalizationModule(pl.LightningModule):
    """Holds the frozen backbone and the soft prompt.

    Adapters and checkpoints hold all tensors of the soft prompt (`is_trainable`). Those of its parameters are trained
    that its adapter does not freeze (`SoftPrompt.is_trained`).
    """

    def __init__(
        self,
        backbone: PreTrainedModel,
        soft_prompt: SoftPrompt,
        config: TrainConfig,
        evaluate: Callable[[PersonalizationModule], Mapping[str, float]] | None = None,
        prefixes: PrefixStore | None = None,
        states: TargetStates | None = None,
    ) -> None:
        """Store the parts, and freeze all parameters that are not trained.

        Args:
            backbone: the LLM, from `dep.models.backbones.load`.
            soft_prompt: the adapter with its boundary tokens, from `build_soft_prompt`.
            config: the settings of training.
            evaluate: called with this module after each validation epoch; returns metrics to log, such as `val_meteor`.
            prefixes: kept beginnings of prompts; None if no beginnings are kept.
            states: reads reviews for an adapter that acts at the LLM's output; None keeps what it reads in memory.

        Raises:
            DepError: `max_tokens_per_forward` is set although the adapter trains inside the LLM's layers.
        """
        super().__init__()
        self.backbone = backbone
        self.soft_prompt = soft_prompt
        self.config = config
        self.evaluate = evaluate
        self.prefixes = prefixes
        self.states = states or TargetStates(backbone)
        self.fingerprint = fingerprint(backbone)
        self.strict_loading = False  # checkpoints hold only the soft prompt; on_load_checkpoint compares the names
        self.trains_llm_layers = not soft_prompt.prefix_safe
        """Whether all positions depend on trained parameters, so that even the first position needs gradients."""
        if self.trains_llm_layers and config.max_tokens_per_forward:
            raise DepError(
                f"train.max_tokens_per_forward={config.max_tokens_per_forward}: expected 0 for an adapter inside the "
                "LLM's layers (LoRA, gated cross-attention), whose gradients need all rows at once; lower "
                "train.micro_batch instead"
            )
        self._packs: bool | None = None
        self._window: list[dict[str, Tensor]] = []
        self.last_losses: dict[str, Tensor] = {}
        """The loss terms of the last micro batch."""
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(is_trainable(name) and soft_prompt.is_trained(name.removeprefix("soft_prompt.")))

    def train(self, mode: bool = True) -> PersonalizationModule:
        """Switch the soft prompt between training and eval mode; the backbone always stays in eval mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    def embed(self, batch: Batch) -> SoftPromptOutput:
        """Compute a batch's input embeddings [B, T, D], soft tokens included, and the auxiliary losses."""
        return self.soft_prompt(batch, self.backbone.get_input_embeddings())

    def example_nll(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Compute the negative log likelihood of each example's review, its tokens weighted if the batch has weights.

        Returns:
            The sum over the review's tokens [B] in nats, and the number of these tokens [B].
        """
        return self._nll(batch, self.embed(batch))

    def _nll(self, batch: Batch, soft: SoftPromptOutput) -> tuple[Tensor, Tensor]:
        if (change := self.soft_prompt.output_change(self.backbone, batch)) is not None:
            return changed_nll(self.states, change, batch)
        kept = self._kept_prefixes(batch)
        plain = kept is not None or self.trains_llm_layers or self.packs
        lead = PrefixSpan() if plain else prefix_span(batch, self.soft_prompt.injected_ids)
        mask_BT, labels_BT, weights_BT = batch.attention_mask, batch.labels, batch.weights

        def read(embeds_RTD: Tensor, rows_R: Tensor, used: Tensor | slice) -> tuple[Tensor, Tensor]:
            return example_nll(
                self.backbone, embeds_RTD[:, used], mask_BT[rows_R][:, used], labels_BT[rows_R][:, used],
                lead, packed=self.packs and kept is None, cut=self.config.cross_entropy == "cut",
                prefixes=None if kept is None else [kept[row] for row in rows_R.tolist()],
                weights_BT=None if weights_BT is None else weights_BT[rows_R][:, used],
            )  # fmt: skip

        if not self.config.max_tokens_per_forward:
            with self.soft_prompt.attached(self.backbone, batch):
                return read(soft.inputs_embeds, torch.arange(len(mask_BT), device=mask_BT.device), slice(None))
        computed = mask_BT.sum(1).tolist()
        if kept is not None:
            computed = [tokens - length(prefix) for tokens, prefix in zip(computed, kept, strict=True)]
        padded = kept is not None or not self.packs
        parts = split_rows(computed, self.config.max_tokens_per_forward, padded)
        nll_B = in_microbatches(
            soft.inputs_embeds, parts, lambda embeds_RTD, rows_R: read(embeds_RTD, rows_R, mask_BT[rows_R].any(0))[0]
        )
        return nll_B, (labels_BT[:, 1:] != IGNORE).sum(1)

    def _kept_prefixes(self, batch: Batch) -> list[list[Segment]] | None:
        """Return the kept beginning of each row; None if the batch is computed without kept beginnings."""
        if self.prefixes is None or self.trains_llm_layers:
            return None
        return self.prefixes.of_batch(self.backbone, batch)

    @property
    def packs(self) -> bool:
        """Whether examples are packed: `train.packing` asks for it, and trials showed that the backbone supports it.

        Raises:
            DepError: `train.packing` is `always`, but the backbone or the adapter does not support packing.
        """
        if self._packs is None:
            attention = getattr(self.backbone.config, "_attn_implementation", None)
            wanted = {"always": True, "never": False, "auto": attention in PACKED}[self.config.packing]
            self._packs = (
                wanted
                and self.soft_prompt.prefix_safe
                and capabilities(self.backbone).packing
                and supports_packing(self.backbone)
            )
            if self.config.packing == "always" and not self._packs:
                raise DepError(
                    f"train.packing=always: expected a backbone that keeps packed examples apart, found that "
                    f"{type(self.backbone).__name__} does not on this machine, or that the adapter acts inside its "
                    "layers; set train.packing=never"
                )
        return self._packs

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the losses of one batch.

        Returns:
            Scalars by name: `lm` (nats per token), `total` (Eq. 11), and the adapter's losses and statistics, such as
                `recon`.
        """
        soft = self.embed(batch)
        nll_B, tokens_B = self._nll(batch, soft)
        lm = language_loss(nll_B, tokens_B, self.config.window_loss)
        total = total_loss(lm, soft.losses, self.config.lambda_, self.config.gamma, self.soft_prompt.loss_weights)
        return {"total": total, "lm": lm, **soft.losses, **soft.stats}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Compute Eq. 11 for one micro batch.

        If a batch has no vectors of a branch, some weights do not affect the loss. All weights are therefore added with
        a factor of zero, so that each has a gradient, which training on several devices needs.
        """
        losses = self.losses(batch)
        self.last_losses = {name: value.detach() for name, value in losses.items()}
        loss, logged = step_loss(losses, batch, self.config)
        self._window.append({name: value.detach() for name, value in logged.items()})
        trained = [p.sum() for p in self.soft_prompt.parameters() if p.requires_grad]
        return loss + 0.0 * torch.stack(trained).sum()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log the learning rate, and the mean losses over this device's micro batches of the optimizer step."""
        for name in sorted({name for step in self._window for name in step}):
            values = torch.stack([step[name] for step in self._window if name in step])
            self.log(f"train_{name}", values.mean(), batch_size=1)
        self.log("lr", optimizer.param_groups[0]["lr"], batch_size=1)
        self._window.clear()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log `val_nll`, the negative log likelihood per token of a review in nats, averaged over examples."""
        nll_B, tokens_B = self.example_nll(batch)
        self.log("val_nll", (nll_B / tokens_B).mean(), batch_size=len(nll_B), sync_dist=True, prog_bar=True)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics that `evaluate` returns."""
        if self.evaluate is not None:
            self.log_dict(dict(self.evaluate(self)), sync_dist=True, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """Build the optimizer of the trained parameters, and a learning-rate schedule that advances with each step."""
        c, total = self.config, optimizer_steps(self.trainer, self.config)
        own_groups = self.soft_prompt.param_groups()
        grouped_ids = {id(p) for group in own_groups for p in group["params"]}
        trained = [p for p in self.parameters() if p.requires_grad and id(p) not in grouped_ids]
        optimizer: torch.optim.Optimizer
        if c.optimizer == "muon":
            linear_ids = {id(m.weight) for m in self.soft_prompt.modules() if isinstance(m, torch.nn.Linear)}
            matrices = [p for p in trained if id(p) in linear_ids]
            others = [p for p in trained if id(p) not in linear_ids]
            groups = [{"params": others, "lr": c.lr}, *own_groups]
            optimizer = Muon(matrices, c.muon_lr, self._decaying(groups), c.weight_decay)
        else:
            groups = [{"params": trained, "lr": c.lr}, *own_groups]
            optimizer = torch.optim.AdamW(self._decaying(groups), weight_decay=c.weight_decay)
        warmup = warmup_steps(total, c.warmup_ratio, c.warmup)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: schedule_factor(step, total, warmup, c.schedule, c.warmup)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _decaying(self, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return groups if self.config.decay_biases else without_decay(groups, self)

    def sizes(self) -> tuple[int, int, int]:
        """Count parameters: the trained ones, the pretrained and frozen ones, and the LLM's (as they are stored)."""
        backbone = sum(p.numel() for p in self.backbone.parameters())
        trained = sum(p.numel() for p in self.parameters() if p.requires_grad)
        total = sum(p.numel() for p in self.parameters())
        return trained, total - backbone - trained, backbone

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep only the soft prompt's tensors in a checkpoint; add the backbone's fingerprint and the settings."""
        checkpoint["state_dict"] = {k: v for k, v in checkpoint["state_dict"].items() if is_trainable(k)}
        checkpoint["fingerprint"] = self.fingerprint
        checkpoint["train_config"] = asdict(self.config)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Check that a checkpoint belongs to this soft prompt, backbone and training configuration.

        Raises:
            DepError: the checkpoint does not belong to them; the message names the difference.
        """
        if "state_dict" in checkpoint:  # DeepSpeed saves and restores the weights itself
            check_names(checkpoint["state_dict"], trainable_state(self), "the checkpoint")
        check_fingerprint(checkpoint.get("fingerprint"), self.fingerprint, "the checkpoint")
        saved, now = checkpoint.get("train_config", {}), asdict(self.config)
        compared = now.keys() - {"progress", "devices"}
        changed = [f"{k}: {saved.get(k)!r} then, {now[k]!r} now" for k in compared if saved.get(k) != now[k]]
        if changed:
            raise DepError(
                f"the interrupted run was trained with other settings ({'; '.join(changed)}); restore them "
                "to continue, or start under another run name"
            )

    def save_adapter(self, path: Path, config: Mapping[str, Any]) -> None:
        """Write the soft prompt's tensors as a safetensors file with `config` (JSON values) in its metadata."""
        write_adapter(path, trainable_state(self), config, self.fingerprint)

    def load_adapter(self, path: Path) -> dict[str, Any]:
        """Load an adapter that `save_adapter` wrote.

        Returns:
            The configuration in its metadata.

        Raises:
            MissingFile: there is no such file.
            DepError: the adapter was trained for another soft prompt or backbone.
        """
        tensors, config, trained_on = read_adapter(path)
        check_names(tensors, trainable_state(self), f"adapter {path}")
        check_fingerprint(trained_on, self.fingerprint, f"adapter {path}")
        self.load_state_dict(tensors, strict=False)
        return config
