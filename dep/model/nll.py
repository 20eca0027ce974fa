"""The language loss L_gen of Eq. 11, with logits at the target positions only.

    nll_b = - Σ_t ln P(y_t | prompt, y_<t),   t over the tokens of example b's review

A prompt is several times longer than its review and a vocabulary has 150 thousand entries: logits everywhere
would cost more memory than the model. What an architecture does to its logits after the head (softcapping,
scaling) must still happen, so the whole model runs and a hook hands its head the wanted positions alone. Positions
before the first soft token are computed apart, without gradients (`prefix`).
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from dep.model.prefix import Lead, cacheable, keys_and_values
from dep.records import IGNORE

_NO_LEAD = Lead()


def target_logits(
    model: PreTrainedModel, embeds_BTD: Tensor, attention_mask_BT: Tensor, labels_BT: Tensor, lead: Lead = _NO_LEAD
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of the tokens that are labels, exactly those of a full forward.

    Args:
        model: a causal LM of transformers.
        embeds_BTD: input embeddings.
        attention_mask_BT: 1 on real tokens, padding on either side.
        labels_BT: the target tokens in place, IGNORE elsewhere.
        lead: from `prefix.leading`: leading positions that need no gradient, computed apart.

    Returns:
        logits [M, V], targets [M] and rows [M] (which example each target belongs to), in order of
        occurrence.
    """
    predicts_BT = torch.zeros_like(labels_BT, dtype=torch.bool)
    predicts_BT[:, :-1] = labels_BT[:, 1:] != IGNORE  # position t predicts token t + 1
    picked: list[bool] = []
    ahead: dict[str, Any] = {"use_cache": False}
    first = lead.still if cacheable(model) else 0
    if first:
        ahead = {"use_cache": True, "past_key_values": keys_and_values(model, embeds_BTD, lead)}
    predicts_BT = predicts_BT[:, first:]
    places = {name: value[:, first:] for name, value in positions(model, attention_mask_BT).items()}

    def pick(head: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        hidden, *rest = args
        if hidden.shape[:2] != predicts_BT.shape:
            return None
        picked.append(True)
        return hidden[predicts_BT][None], *rest

    hook = model.get_output_embeddings().register_forward_pre_hook(pick)
    try:
        logits = model(inputs_embeds=embeds_BTD[:, first:], attention_mask=attention_mask_BT, **ahead, **places).logits
    finally:
        hook.remove()
    logits_MV = logits[0] if picked else logits[predicts_BT]
    return logits_MV, labels_BT[:, first + 1 :][predicts_BT[:, :-1]], predicts_BT.nonzero()[:, 0]


def example_nll(
    model: PreTrainedModel, embeds_BTD: Tensor, attention_mask_BT: Tensor, labels_BT: Tensor, lead: Lead = _NO_LEAD
) -> tuple[Tensor, Tensor]:
    """Negative log likelihood of each example's target.

    Args:
        model: a causal LM of transformers.
        embeds_BTD: input embeddings.
        attention_mask_BT: 1 on real tokens.
        labels_BT: the target tokens in place, IGNORE elsewhere.
        lead: as in `target_logits`.

    Returns:
        nll_sum [B] in nats and tokens [B], how many it sums over.

    Raises:
        ValueError: where an example has no target token.
    """
    logits_MV, targets_M, rows_M = target_logits(model, embeds_BTD, attention_mask_BT, labels_BT, lead)
    tokens_B = torch.bincount(rows_M, minlength=len(labels_BT))
    if bool((tokens_B == 0).any()):
        row = int((tokens_B == 0).nonzero()[0])
        raise ValueError(f"row {row} of the batch: expected target tokens in labels, found none; drop empty reviews")
    nll_M = F.cross_entropy(logits_MV.float(), targets_M, reduction="none")
    return nll_M.new_zeros(len(labels_BT)).index_add(0, rows_M, nll_M), tokens_B


def positions(model: PreTrainedModel, attention_mask_BT: Tensor) -> dict[str, Any]:
    """Positions that count real tokens only: models with learned positions need them under left padding."""
    if "position_ids" not in inspect.signature(model.forward).parameters:
        return {}
    return {"position_ids": (attention_mask_BT.long().cumsum(1) - 1).clamp(min=0)}
