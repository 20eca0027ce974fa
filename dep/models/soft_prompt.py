"""The soft prompt (Eq. 5 to 7), which turns a batch into the frozen LLM's input embeddings.

    e -> z, ê (compressor) -> p (projector) -> replaces the embedding of a slot token in the prompt

A slot token is a placeholder in the prompt, and a branch is a kind of soft token (`dep.types.Branch`). Training and
generation share this code. The adapter computes in the dtype of its weights (float32), with autocast turned off. Its
result is cast to the backbone's dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dep.models.adapters import ADAPTERS
from dep.models.adapters.base import Adapter, AdapterParts, OutputChange, SoftTokens, Statistics
from dep.models.backbones.vocabulary import embedding_norm
from dep.models.injection import inject, write_rows
from dep.models.settings import ProjectorConfig, SoftPromptConfig
from dep.models.start_words import mark_ids, phrase_ids, rows_of
from dep.types import DIFF_END, DIFF_START, HIS_END, HIS_START, SLOT_TOKENS, Batch, Branch
from dep.utils.errors import DepError
from dep.utils.registry import ComponentConfig

_BOUNDARIES: dict[Branch, tuple[str, str]] = {
    "his": (HIS_START, HIS_END),
    "diff": (DIFF_START, DIFF_END),
    "user": (HIS_START, HIS_END),
}


class SoftPromptOutput(NamedTuple):
    """The input embeddings of a batch, and the adapter's auxiliary losses and statistics."""

    inputs_embeds: Tensor
    """The input embeddings [B, T, D]."""
    losses: dict[str, Tensor]
    """Auxiliary losses (scalars) by name: `recon` and `sparse` for DEP."""
    stats: dict[str, Tensor]
    """Scalars to log, by name: `mean_activation`, `dead_units` and `clamped_units` for a sparse autoencoder."""


class SoftPrompt(nn.Module):
    """What is added to the frozen LLM: an adapter and, if not the backbone's, the boundary tokens' embeddings."""

    def __init__(
        self,
        config: SoftPromptConfig,
        adapter: Adapter | None,
        slot_ids: Mapping[Branch, int],
        boundary: tuple[list[int], Tensor] | None = None,
    ) -> None:
        """Combine an adapter with the trained boundary tokens.

        Args:
            config: the settings.
            adapter: computes the soft tokens; None for a prompt without soft tokens.
            slot_ids: the id of each branch's slot token, including branches that are not used.
            boundary: ids and initial embeddings [R, D] of the R boundary tokens, which are trained with
                `boundary_trainable`; None to leave the backbone's.
        """
        super().__init__()
        self.config = config
        self.adapter = adapter
        self.slot_ids = dict(slot_ids)
        self.boundary_ids = boundary[0] if boundary else []
        self.boundary_rows = nn.Parameter(boundary[1].detach().clone().float()) if boundary else None

    @property
    def injected_ids(self) -> list[int]:
        """Ids of the tokens whose embeddings this module replaces."""
        return [*self.slot_ids.values(), *self.boundary_ids]

    @property
    def prefix_safe(self) -> bool:
        """Whether hidden states before the first soft token depend neither on the user nor on trained weights."""
        return self.adapter is None or self.adapter.prefix_safe

    def output_change(self, model: PreTrainedModel, batch: Batch) -> OutputChange | None:
        """Return what the adapter does to the logits of `model` for a batch; None if it does not act at the output."""
        return self.adapter.output_change(model, batch) if self.adapter is not None and self.acts_at_output else None

    @property
    def acts_at_output(self) -> bool:
        """Whether the adapter changes the LLM's logits."""
        return self.adapter is not None and self.adapter.acts_at_output

    @property
    def loss_weights(self) -> Mapping[str, float]:
        """The weights of the adapter's own auxiliary losses."""
        return {} if self.adapter is None else self.adapter.loss_weights

    def attached(self, model: PreTrainedModel, batch: Batch) -> AbstractContextManager[object]:
        """Return a context manager inside which the adapter acts in the layers of `model` for this batch."""
        return nullcontext() if self.adapter is None else self.adapter.attached(model, batch)

    def reference(self, model: PreTrainedModel) -> AbstractContextManager[object]:
        """Return a context in which `model` is what `generate.contrast` compares with."""
        return nullcontext() if self.adapter is None else self.adapter.reference(model)

    def is_trained(self, name: str) -> bool:
        """Return whether this module's parameter called `name` is trained."""
        if name == "boundary_rows":
            return self.config.boundary_trainable
        return (
            self.adapter is None
            or not name.startswith("adapter.")
            or self.adapter.is_trained(name.removeprefix("adapter."))
        )

    def param_groups(self) -> list[dict[str, Any]]:
        """Return optimizer groups (`params`, `lr`) of those trained parameters that have their own learning rate."""
        return [] if self.adapter is None else self.adapter.param_groups()

    def forward(self, batch: Batch, embed: Callable[[Tensor], Tensor]) -> SoftPromptOutput:
        """Embed the prompts of a batch, and put the soft tokens in their places.

        Args:
            batch: see `dep.types.Batch`.
            embed: the backbone's input embedding, which maps ids [B, T] to [B, T, D].

        Returns:
            The embeddings [B, T, D], and the adapter's losses and statistics, if it has any.

        Raises:
            DepError: an example's numbers of slot tokens and vectors differ, or a branch is not configured.
        """
        self._check(batch)
        embeds_BTD = embed(batch.ids)
        if self.boundary_rows is not None:
            embeds_BTD = write_rows(embeds_BTD, batch.ids, self.boundary_ids, self.boundary_rows)
        if self.adapter is None or not (batch.present or batch.cut_present):
            return SoftPromptOutput(embeds_BTD, {}, {})
        with torch.autocast(batch.ids.device.type, enabled=False):
            soft: SoftTokens = self.adapter(batch)
        for branch, vectors_BKD in soft.vectors.items():
            present_BK = batch.present[branch]
            several = vectors_BKD.shape[1] // max(1, present_BK.shape[1])
            present_BK = present_BK.repeat_interleave(several, 1)
            embeds_BTD = inject(embeds_BTD, batch.ids, self.slot_ids[branch], vectors_BKD, present_BK)
        return SoftPromptOutput(embeds_BTD, soft.losses, soft.stats)

    def _check(self, batch: Batch) -> None:
        unknown = set(batch.present) - set(self.config.branches)
        if unknown:
            raise DepError(
                f"the batch carries vectors of {sorted(unknown)}: expected branches {self.config.branches} "
                "(soft_prompt.branches); give prompt and soft prompt the same branches"
            )
        filled = {self.slot_ids[branch] for branch in batch.present}
        for branch, slot_id in self.slot_ids.items():
            if slot_id not in filled and bool((batch.ids == slot_id).any()):
                raise DepError(
                    f"a prompt holds {SLOT_TOKENS[branch]} but the batch has no vectors of branch "
                    f"{branch!r}: the LLM would read the placeholder as a word; leave the branch out of the prompt"
                )


def build_soft_prompt(
    config: SoftPromptConfig,
    compressor: ComponentConfig,
    projector: ProjectorConfig,
    *,
    width: int,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    seed: int = 0,
    statistics: Statistics | None = None,
    categories: int = 1,
    longest: int = 0,
) -> SoftPrompt:
    """Build the soft prompt for a backbone.

    Args:
        config: the soft prompt's settings.
        compressor: the settings of a compressor.
        projector: the projector's settings.
        width: E, the embedder's width.
        model: the backbone, with the special tokens added.
        tokenizer: the backbone's tokenizer.
        seed: seed of the initial weights, which depend on nothing else.
        statistics: with `standardize`, the mean and standard deviation [E] of the training vectors of each branch, or
            of `his` for `pplug` and `user_llm`.
        categories: number of categories in the data, for User-LLM.
        longest: largest number of past reviews that User-LLM's encoder reads.

    Returns:
        The soft prompt, in float32 on the CPU.
    """
    embed = model.get_input_embeddings()
    vocabulary = tokenizer.get_vocab()
    norm = embedding_norm(embed, max(vocabulary.values()) + 1)
    slot_ids = {branch: vocabulary[token] for branch, token in SLOT_TOKENS.items()}
    branches: list[Branch] = list(config.branches)
    boundary = [token for branch in branches for token in _BOUNDARIES[branch]]
    boundary_ids = [vocabulary[token] for token in boundary]
    from_words = config.boundary_start == "words"
    rows = rows_of(embed, mark_ids(tokenizer, boundary) if from_words else boundary_ids, model.device)
    words = {b: rows_of(embed, phrase_ids(tokenizer, b), model.device) for b in branches if projector.start == "words"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapter = build_adapter(
            AdapterParts(
                config, compressor, projector, width, model, norm, statistics, categories, longest, slot_ids, words
            )
        )
    written = (boundary_ids, rows) if (config.boundary_trainable or from_words) and branches else None
    return SoftPrompt(config, adapter, slot_ids, written)


def build_adapter(parts: AdapterParts) -> Adapter | None:
    """Build the untrained adapter that the settings name; None if it needs soft tokens and there are none."""
    kind: type[Adapter] = ADAPTERS.component(parts.soft_prompt.adapter)
    return None if kind.needs_branches and not parts.branches else kind.from_parts(parts)
