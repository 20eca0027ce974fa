"""The decoding loop: a token for every row at a time, rows that have ended dropped from the cache.

Reviews differ in length, so that most of what a full batch computes at its end is for rows that nobody reads any more.
`transformers.generate` keeps them. For what it alone can drive (recurrent states, layers that attend to a user beside
the prompt) `Generate` falls back on it.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection
from typing import Protocol

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from dep.model.nll import positions


class Draws(Protocol):
    """Chooses tokens, with a state for each row."""

    def draw(self, logits_BV: Tensor) -> Tensor:
        """Token ids [B, 1]."""

    def keep(self, rows: list[int]) -> None:
        """Go on with these rows alone."""


@torch.no_grad()
def decode(
    model: PreTrainedModel,
    embeds_BTD: Tensor,
    attention_mask_BT: Tensor,
    draws: Draws,
    stop: Collection[int],
    max_new_tokens: int,
) -> list[list[int]]:
    """Write on from a batch of prompts.

    Args:
        model: a causal LM that is `prefix.cacheable`.
        embeds_BTD: input embeddings, padded on the left.
        attention_mask_BT: 1 on real tokens.
        draws: chooses each next token.
        stop: token ids that end a row.
        max_new_tokens: after how many every row ends.

    Returns:
        For each row the ids of what was written, the one that ended it included.
    """
    texts: list[list[int]] = [[] for _ in embeds_BTD]
    rows = list(range(len(texts)))
    cache, mask_BT, fed_BTD = DynamicCache(config=model.config), attention_mask_BT, embeds_BTD
    last_alone = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
    for _ in range(max_new_tokens):
        places = {name: value[:, -fed_BTD.shape[1] :] for name, value in positions(model, mask_BT).items()}
        logits_BTV = model(
            inputs_embeds=fed_BTD, attention_mask=mask_BT, past_key_values=cache, use_cache=True, **places, **last_alone
        ).logits
        token_B1 = draws.draw(logits_BTV[:, -1].float())
        drawn = token_B1[:, 0].tolist()
        for row, token in zip(rows, drawn, strict=True):
            texts[row].append(token)
        going = [at for at, token in enumerate(drawn) if token not in stop]
        if not going:
            break
        if len(going) < len(rows):
            kept = torch.tensor(going, device=mask_BT.device)
            cache.batch_select_indices(kept)
            mask_BT, token_B1, rows = mask_BT[kept], token_B1[kept], [rows[at] for at in going]
            draws.keep(going)
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(mask_BT), 1)], 1)
        fed_BTD = model.get_input_embeddings()(token_B1)
    return texts
