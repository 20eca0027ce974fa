"""Eq. 11 as a LightningModule: a frozen LLM, and the soft prompt that is trained through it.

    L_total = L_gen + λ (L_recon + γ L_sparse)

L_gen -> lm, the mean over a review's tokens of their negative log likelihood, averaged over the examples of a
batch: with `micro_batch` 1, as in the paper, this is the usual token mean, and it stays the same whatever the
batching.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from dep.inference.likelihood import example_nll
from dep.inference.microbatching import in_microbatches, split_rows
from dep.inference.packing import PACKED, supports_packing
from dep.inference.prefix_cache import PrefixSpan, prefix_span
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
from dep.training.optimizers import Muon
from dep.training.schedule import schedule_factor
from dep.training.settings import TrainConfig
from dep.types import IGNORE, Batch
from dep.utils.errors import DepError
from dep.utils.lightning import pl


class PersonalizationModule(pl.LightningModule):
    """Backbone and soft prompt; only the names that `is_trainable` are trained, moved by AdamW and saved."""

    def __init__(
        self,
        backbone: PreTrainedModel,
        soft_prompt: SoftPrompt,
        config: TrainConfig,
        evaluate: Callable[[PersonalizationModule], Mapping[str, float]] | None = None,
    ) -> None:
        """Freeze what is not trained.

        Args:
            backbone: from `backbone.load`.
            soft_prompt: from `build_soft_prompt`.
            config: learning rate and what else training needs.
            evaluate: called with this module after each validation epoch; what it returns is logged
                (`val_meteor`).
        """
        super().__init__()
        self.backbone = backbone
        self.soft_prompt = soft_prompt
        self.config = config
        self.evaluate = evaluate
        self.fingerprint = fingerprint(backbone)
        self.strict_loading = False  # checkpoints hold the trained part; on_load_checkpoint compares names
        self.trains_llm_layers = not soft_prompt.prefix_safe
        """Whether every position depends on something trained, so that no beginning of a prompt may be set apart."""
        if self.trains_llm_layers and config.max_tokens_per_forward:
            raise DepError(
                f"train.max_tokens_per_forward={config.max_tokens_per_forward}: expected 0 where the LLM's own layers "
                "are trained (LoRA, gated cross-attention): their gradients need all rows at once; lower "
                "train.micro_batch instead"
            )
        self._packs: bool | None = None
        self._window: list[dict[str, Tensor]] = []
        self.last_losses: dict[str, Tensor] = {}
        """Loss terms of the last micro batch."""
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(is_trainable(name) and soft_prompt.is_trained(name.removeprefix("soft_prompt.")))

    def train(self, mode: bool = True) -> PersonalizationModule:
        """Switch the soft prompt's mode; the backbone stays in eval mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    def embed(self, batch: Batch) -> SoftPromptOutput:
        """Input embeddings with the soft tokens in place."""
        return self.soft_prompt(batch, self.backbone.get_input_embeddings())

    def example_nll(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Negative log likelihood of each example's review: nll_sum [B] in nats, tokens [B]."""
        return self._nll(batch, self.embed(batch))

    def _nll(self, batch: Batch, soft: SoftPromptOutput) -> tuple[Tensor, Tensor]:
        lead = (
            PrefixSpan() if self.trains_llm_layers or self.packs else prefix_span(batch, self.soft_prompt.injected_ids)
        )
        mask_BT, labels_BT = batch.attention_mask, batch.labels
        read = partial(example_nll, self.backbone, lead=lead, packed=self.packs, cut=self.config.cross_entropy == "cut")
        if not self.config.max_tokens_per_forward:
            with self.soft_prompt.attached(self.backbone, batch):
                return read(soft.inputs_embeds, mask_BT, labels_BT)
        parts = split_rows(mask_BT.sum(1).tolist(), self.config.max_tokens_per_forward, padded=not self.packs)

        def nll(embeds_RTD: Tensor, rows_R: Tensor) -> Tensor:
            used = mask_BT[rows_R].any(0)
            return read(embeds_RTD[:, used], mask_BT[rows_R][:, used], labels_BT[rows_R][:, used])[0]

        return in_microbatches(soft.inputs_embeds, parts, nll), (labels_BT[:, 1:] != IGNORE).sum(1)

    @property
    def packs(self) -> bool:
        """Whether rows are packed: `train.packing`, and for `always` that the backbone was seen to keep them apart.

        Raises:
            ValueError: it has to, and does not.
        """
        if self._packs is None:
            attention = getattr(self.backbone.config, "_attn_implementation", None)
            wanted = {"always": True, "never": False, "auto": attention in PACKED}[self.config.packing]
            self._packs = wanted and self.soft_prompt.prefix_safe and supports_packing(self.backbone)
            if self.config.packing == "always" and not self._packs:
                raise DepError(
                    f"train.packing=always: expected a backbone that keeps packed examples apart, found that "
                    f"{type(self.backbone).__name__} here does not (or layers that look at one user); "
                    "set train.packing=never"
                )
        return self._packs

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars of one batch: lm, total, and recon, sparse and statistics where the compressor has them."""
        soft = self.embed(batch)
        nll_B, tokens_B = self._nll(batch, soft)
        lm = (nll_B / tokens_B).mean()
        total = total_loss(lm, soft.losses, self.config.lambda_, self.config.gamma, self.soft_prompt.loss_weights)
        return {"total": total, "lm": lm, **soft.losses, **soft.stats}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Eq. 11 of one micro batch.

        A batch may lack a branch, or all vectors, and with them any way to a weight: every weight takes part
        with a factor of zero, so that there is a gradient to take and to share between devices.
        """
        losses = self.losses(batch)
        self.last_losses = {name: value.detach() for name, value in losses.items()}
        self._window.append(self.last_losses)
        trained = [p.sum() for p in self.soft_prompt.parameters() if p.requires_grad]
        return losses["total"] + 0.0 * torch.stack(trained).sum()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log the means over this device's micro batches of the step, and the learning rate."""
        for name in sorted({name for step in self._window for name in step}):
            values = torch.stack([step[name] for step in self._window if name in step])
            self.log(f"train_{name}", values.mean(), batch_size=1)
        self.log("lr", optimizer.param_groups[0]["lr"], batch_size=1)
        self._window.clear()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log `val_nll`, the mean over examples of the review's negative log likelihood per token."""
        nll_B, tokens_B = self.example_nll(batch)
        self.log("val_nll", (nll_B / tokens_B).mean(), batch_size=len(nll_B), sync_dist=True, prog_bar=True)

    def on_validation_epoch_end(self) -> None:
        """Log what the injected `evaluate` finds."""
        if self.evaluate is not None:
            self.log_dict(dict(self.evaluate(self)), sync_dist=True, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """The optimizer of the trained part, with warm-up and decay stepped once an optimizer step."""
        c, total = self.config, int(self.trainer.estimated_stepping_batches)
        apart = self.soft_prompt.param_groups()
        elsewhere = {id(p) for group in apart for p in group["params"]}
        trained = [p for p in self.parameters() if p.requires_grad and id(p) not in elsewhere]
        optimizer: torch.optim.Optimizer
        if c.optimizer == "muon":
            layers = {id(m.weight) for m in self.soft_prompt.modules() if isinstance(m, torch.nn.Linear)}
            matrices, others = ([p for p in trained if (id(p) in layers) == of_layer] for of_layer in (True, False))
            optimizer = Muon(matrices, c.muon_lr, [{"params": others, "lr": c.lr}, *apart], c.weight_decay)
        else:
            optimizer = torch.optim.AdamW([{"params": trained, "lr": c.lr}, *apart], weight_decay=c.weight_decay)
        warmup = round(c.warmup_ratio * total)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: schedule_factor(step, total, warmup, c.schedule)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def sizes(self) -> tuple[int, int, int]:
        """Numbers of parameters: trained here, learned before and frozen since, the LLM's own (as it stores them)."""
        own = sum(p.numel() for p in self.backbone.parameters())
        trained = sum(p.numel() for p in self.parameters() if p.requires_grad)
        every = sum(p.numel() for p in self.parameters())
        return trained, every - own - trained, own

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep exactly the trained names, and note what they fit."""
        checkpoint["state_dict"] = {k: v for k, v in checkpoint["state_dict"].items() if is_trainable(k)}
        checkpoint["fingerprint"] = self.fingerprint
        checkpoint["train_config"] = asdict(self.config)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another soft prompt, backbone or training configuration.

        Raises:
            ValueError: naming what differs.
        """
        if "state_dict" in checkpoint:  # DeepSpeed keeps and restores the weights itself
            check_names(checkpoint["state_dict"], trainable_state(self), "the checkpoint")
        check_fingerprint(checkpoint.get("fingerprint"), self.fingerprint, "the checkpoint")
        saved, now = checkpoint.get("train_config", {}), asdict(self.config)
        counts = now.keys() - {"progress", "devices"}
        changed = [f"{k}: {saved.get(k)!r} then, {now[k]!r} now" for k in counts if saved.get(k) != now[k]]
        if changed:
            raise DepError(
                f"the interrupted run was trained with other settings ({'; '.join(changed)}); set them "
                "back to go on, or start under another run name"
            )

    def save_adapter(self, path: Path, config: Mapping[str, Any]) -> None:
        """Write the trained part for users: safetensors, with `config` (JSON values) in its metadata."""
        write_adapter(path, trainable_state(self), config, self.fingerprint)

    def load_adapter(self, path: Path) -> dict[str, Any]:
        """Load what `save_adapter` wrote.

        Returns:
            The configuration it was saved with.

        Raises:
            FileNotFoundError: where there is no file.
            ValueError: where it was made for another soft prompt or backbone.
        """
        tensors, config, trained_on = read_adapter(path)
        check_names(tensors, trainable_state(self), f"adapter {path}")
        check_fingerprint(trained_on, self.fingerprint, f"adapter {path}")
        self.load_state_dict(tensors, strict=False)
        return config
