"""Adds the special tokens to a frozen model, which never generates them and does not train their embeddings.

A row of the input matrix is the embedding of one token. A new row is the mean of the existing rows plus noise of a
tenth of their standard deviation. The noise is the same in every run. The new tokens thus differ from one another, and
none stands out from the existing ones. A new row of the output matrix is the mean of the existing rows. Models often
have more rows than their tokenizer has tokens. Special tokens take such unused rows first; a matrix grows only if there
are too few of them, and never shrinks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import AddedToken
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dep.types import SPECIAL_TOKENS

_SAMPLE = 4096
"""Number of evenly spaced rows from which statistics of an embedding matrix are computed."""
_NOISE = 0.1
"""Standard deviation of the noise in new rows, divided by the standard deviation of the existing rows."""


def add_to_tokenizer(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[str]) -> list[str]:
    """Add those of `tokens` that `tokenizer` lacks, in place, and return them."""
    vocabulary = tokenizer.get_vocab()
    missing = [token for token in tokens if token not in vocabulary]
    tokenizer.add_tokens([AddedToken(t, special=True, normalized=False) for t in missing], special_tokens=True)
    return missing


def add_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tokens: Sequence[str]) -> list[int]:
    """Add those of `tokens` that are missing to `tokenizer` and `model`; existing ones are left unchanged.

    Args:
        model: any causal LM; changed in place.
        tokenizer: its tokenizer; changed in place.
        tokens: the special tokens.

    Returns:
        The ids that were added.
    """
    existing_rows = max(tokenizer.get_vocab().values()) + 1
    missing = add_to_tokenizer(tokenizer, tokens)
    vocabulary = tokenizer.get_vocab()
    new_ids = [vocabulary[token] for token in missing]
    rows = max([existing_rows - 1, *new_ids]) + 1
    embedding: Any = model.get_input_embeddings()
    if rows > len(embedding.weight):
        with torch.random.fork_rng():
            embedding = model.resize_token_embeddings(rows, mean_resizing=False)
    if new_ids:
        head: Any = model.get_output_embeddings()
        _fill(embedding.weight, new_ids, existing_rows, noise=_NOISE)
        if head is not None and head.weight.data_ptr() != embedding.weight.data_ptr():
            _fill(head.weight, new_ids, existing_rows, noise=0.0)
        if getattr(head, "bias", None) is not None:
            _fill(head.bias, new_ids, existing_rows, noise=0.0)
    return new_ids


@torch.no_grad()
def _fill(weight: Tensor, ids: Sequence[int], existing_rows: int, noise: float) -> None:
    """Overwrite the rows `ids` with the mean of the first `existing_rows` rows, plus noise."""
    # rounded first, so that the new rows are the same in float32 and in bfloat16
    existing = weight[: min(existing_rows, weight.shape[0])].to(torch.bfloat16)
    row = existing.mean(0, dtype=torch.float32)
    rows = row.expand(len(ids), *row.shape)
    if noise:
        spread = existing[:: max(1, len(existing) // _SAMPLE)].float().std(0)
        draw = torch.randn(rows.shape, generator=torch.Generator().manual_seed(0))
        rows = rows + noise * spread * draw.to(weight.device)
    weight[list(ids)] = rows.to(weight.dtype)


def suppressed_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the ids that must never be generated: those of the special tokens, and rows that belong to no token."""
    vocabulary = tokenizer.get_vocab()
    head: Any = model.get_output_embeddings()
    special = [vocabulary[token] for token in SPECIAL_TOKENS if token in vocabulary]
    return sorted({*special, *range(max(vocabulary.values()) + 1, len(head.weight))})


@torch.no_grad()
def embedding_norm(embed: nn.Module, rows: int) -> float:
    """Estimate the mean norm of the first `rows` token embeddings, as the LLM's first layer receives them."""
    device = next(embed.parameters()).device
    sample = torch.arange(0, rows, max(1, rows // _SAMPLE), device=device)
    return float(embed(sample).float().norm(dim=-1).mean())
