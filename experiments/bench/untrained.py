"""Parts that benchmarks share: an untrained soft prompt like the paper's, and the training loss of the public code."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dep.models.compressors.settings import SparseAutoencoderConfig
from dep.models.losses import total_loss
from dep.models.settings import ProjectorConfig, SoftPromptConfig
from dep.models.soft_prompt import SoftPrompt, build_soft_prompt
from dep.training.module import PersonalizationModule
from dep.types import IGNORE, Batch, Branch


def soft_prompt(
    history: int,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    width: int,
    adapter: str = "dep",
    branches: Sequence[Branch] = ("his", "diff"),
) -> SoftPrompt:
    """Build an untrained soft prompt for vectors of `width` components and `history` slots."""
    settings = SoftPromptConfig(slots=history, adapter=adapter, branches=list(branches))
    compressor, projector = SparseAutoencoderConfig(), ProjectorConfig()
    return build_soft_prompt(settings, compressor, projector, width=width, model=model, tokenizer=tokenizer)


def plain_losses(module: PersonalizationModule, batch: Batch, row: int) -> Tensor:
    """Compute Eq. 11 of a batch as the public code does: rows of `row` tokens, all logits, slots one by one."""
    missing = row - batch.ids.shape[1]
    ids_BT, mask_BT, labels_BT = (
        pad(rows, (0, missing), value=value)
        for rows, value in ((batch.ids, 0), (batch.attention_mask, 0), (batch.labels, IGNORE))
    )
    soft = module.soft_prompt
    assert soft.adapter is not None, "DEP's soft prompt has one"
    tokens = soft.adapter(batch)
    embeds_BTD = module.backbone.get_input_embeddings()(ids_BT).clone()
    for branch, vectors_BKD in tokens.vectors.items():
        for b in range(len(ids_BT)):
            places = (ids_BT[b] == soft.slot_ids[branch]).nonzero()[:, 0]
            for k, place in enumerate(places):
                embeds_BTD[b, place] = vectors_BKD[b, k]
    if soft.boundary_rows is not None:
        for boundary, token in zip(soft.boundary_rows, soft.boundary_ids, strict=True):
            for b, place in (ids_BT == token).nonzero().tolist():
                embeds_BTD[b, place] = boundary
    logits_BTV = module.backbone(inputs_embeds=embeds_BTD, attention_mask=mask_BT, use_cache=False).logits
    losses = [
        cross_entropy(logits_TV[:-1], labels_T[1:], ignore_index=IGNORE)
        for logits_TV, labels_T in zip(logits_BTV, labels_BT, strict=True)
    ]
    return total_loss(torch.stack(losses).mean(), tokens.losses, module.config.lambda_, module.config.gamma)


def loss_and_gradients(module: PersonalizationModule, loss: Tensor) -> list[Tensor]:
    """Run the backward pass; return the loss and the gradients of the soft prompt."""
    module.zero_grad()
    loss.backward()
    return [loss.detach(), *(p.grad.clone() for p in module.soft_prompt.parameters() if p.grad is not None)]


def nearly_equal(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> bool:
    """Return whether two lists of tensors are equal up to rounding in float32."""
    return all(
        torch.allclose(a, b, rtol=1e-3, atol=1e-5 * float(b.abs().max())) for a, b in zip(ours, theirs, strict=True)
    )
