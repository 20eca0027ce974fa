"""The decoding loop: one token a row at a time, without copying the cache and without work on ended rows.

    columns      [ padding | system text, equal in all rows | rest of the prompt | room for new tokens ]
                   empty     read once, copied to each row    a few rows at a time  written in place

A row's tokens are contiguous and end in the same column as all others. Attention windows and ALiBi count columns, so
that they see the same distances as in a row alone; a shorter row has less of the common text in the copied columns and
reads what is missing with the rest.

Reviews differ in length: near the end of a batch most rows have ended, and computing them is wasted, so ended rows are
dropped. `transformers.generate` keeps them, reads the common beginning once for each row, and copies all keys and
values at each token. `Generate` uses it for models that this loop cannot drive (recurrent states, layers that attend
to a user beside the prompt); `reread` works for every model, without a cache. `capabilities` finds the fastest exact
one for an architecture.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor
from transformers import DynamicCache, GenerationConfig, LogitsProcessor, PreTrainedModel

from dep.inference.cache_layers import PreallocatedLayer, plain_cache
from dep.inference.kept_prefixes import Prefix, Segment, assembled, extend, length
from dep.inference.prefix_cache import positions, run_length

_ROWS = 16
"""Prompts read at a time: few enough for a processor's cache, enough to fill a GPU."""
_ENDED = 8
"""Ended rows are dropped once they are one in this many: dropping copies the cache of the remaining rows."""


class TokenSampler(Protocol):
    """Chooses tokens; keeps a state for each row."""

    def draw(self, logits_BV: Tensor) -> Tensor:
        """Token ids [B, 1]."""

    def keep(self, rows: list[int]) -> None:
        """Drop the state of all other rows."""


@torch.no_grad()
def decode(
    model: PreTrainedModel,
    embeds_BTD: Tensor,
    attention_mask_BT: Tensor,
    draws: TokenSampler,
    stop: Collection[int],
    max_new_tokens: int,
    shared: int = 0,
    prefixes: Sequence[Prefix] | None = None,
) -> list[list[int]]:
    """Continue a batch of prompts.

    Args:
        model: a causal LM that takes a `DynamicCache`. Only one with a `plain_cache` reads the beginning once.
        embeds_BTD: input embeddings, padded on the left.
        attention_mask_BT: 1 on real tokens.
        draws: chooses the next tokens.
        stop: token ids that end a row.
        max_new_tokens: longest text, in tokens.
        shared: length of the common beginning of all prompts, less than the shortest prompt (`common_beginning`).
        prefixes: the kept beginning of each prompt (`prefix_store`); `shared` is then not used.

    Returns:
        For each row the ids of its text, the stop token included.
    """
    texts: list[list[int]] = [[] for _ in embeds_BTD]
    rows, ended = list(range(len(texts))), set[int]()
    mask_BT = attention_mask_BT
    if plain_cache(model) is None:
        cache = DynamicCache(config=model.config)
        logits_BV = _next_logits(model, embeds_BTD, mask_BT, cache)
    else:
        known = _shared_prefixes(model, embeds_BTD, mask_BT, shared) if prefixes is None else prefixes
        logits_BV, cache = _read(model, embeds_BTD, mask_BT, known)
    for _ in range(max_new_tokens):
        token_B1 = draws.draw(logits_BV.float())
        _append(texts, ended, rows, token_B1, stop)
        active = [at for at, row in enumerate(rows) if row not in ended]
        if not active or len(texts[rows[active[0]]]) == max_new_tokens:
            break
        if (len(rows) - len(active)) * _ENDED >= len(rows):
            remaining = torch.tensor(active, device=mask_BT.device)
            _select(cache, remaining)
            mask_BT, token_B1, rows = mask_BT[remaining], token_B1[remaining], [rows[at] for at in active]
            draws.keep(active)
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(mask_BT), 1)], 1)
        logits_BV = _next_logits(model, model.get_input_embeddings()(token_B1), mask_BT, cache)
    return texts


@torch.no_grad()
def reread(
    model: PreTrainedModel,
    embeds_BTD: Tensor,
    attention_mask_BT: Tensor,
    draws: TokenSampler,
    stop: Collection[int],
    max_new_tokens: int,
) -> list[list[int]]:
    """Continue a batch of prompts with a forward pass over the whole text for each token; see `decode`."""
    texts: list[list[int]] = [[] for _ in embeds_BTD]
    mask_BT, ended = attention_mask_BT, set[int]()
    for _ in range(max_new_tokens):
        logits = model(
            inputs_embeds=embeds_BTD, attention_mask=mask_BT, use_cache=False, **positions(model, mask_BT)
        ).logits  # fmt: skip
        token_B1 = draws.draw(logits[:, -1].float())
        _append(texts, ended, range(len(texts)), token_B1, stop)
        if len(ended) == len(texts):
            break
        embeds_BTD = torch.cat([embeds_BTD, model.get_input_embeddings()(token_B1)], 1)
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(mask_BT), 1)], 1)
    return texts


@torch.no_grad()
def generate(
    model: PreTrainedModel,
    embeds_BTD: Tensor,
    attention_mask_BT: Tensor,
    draws: LogitsProcessor,
    stop: list[int],
    max_new_tokens: int,
    pad_id: int | None,
) -> list[list[int]]:
    """Continue a batch of prompts by `transformers.generate`; see `decode`.

    All settings are given: transformers takes a missing one from the model's own file (a repetition penalty).
    """
    settings = GenerationConfig(
        do_sample=False, num_beams=1, max_new_tokens=max_new_tokens, min_new_tokens=0, temperature=1.0, top_p=1.0,
        top_k=50, repetition_penalty=1.0, no_repeat_ngram_size=0, eos_token_id=stop, pad_token_id=pad_id,
    )  # fmt: skip
    write: Any = model.generate
    ids_BT: Tensor = write(
        inputs_embeds=embeds_BTD, attention_mask=attention_mask_BT, generation_config=settings,
        logits_processor=[draws],
    )  # fmt: skip
    return ids_BT.tolist()


def common_beginning(ids_BT: Tensor, attention_mask_BT: Tensor, injected_ids: Collection[int]) -> int:
    """Length of the common beginning of a left-padded batch, up to the first soft token.

    At least one token of each row is left over, so that every row has a last position to read.

    Args:
        ids_BT: tokens.
        attention_mask_BT: 1 on real tokens.
        injected_ids: tokens whose embeddings differ from row to row.
    """
    lengths_B = attention_mask_BT.sum(1)
    length = int(lengths_B.min()) - 1
    at_BL = (ids_BT.shape[1] - lengths_B).unsqueeze(1) + torch.arange(length, device=ids_BT.device)
    begin_BL = ids_BT.gather(1, at_BL)
    moving = torch.tensor(sorted(injected_ids), device=ids_BT.device)
    same_L = (begin_BL == begin_BL[:1]).all(0) & ~torch.isin(begin_BL[0], moving)
    return run_length(same_L)


def _append(
    texts: list[list[int]], ended: set[int], rows: Sequence[int], token_B1: Tensor, stop: Collection[int]
) -> None:
    """Add the tokens of `rows` to the texts that go on, and note which texts end with theirs."""
    for row, token in zip(rows, token_B1[:, 0].tolist(), strict=True):
        if row not in ended:
            texts[row].append(token)
            if token in stop:
                ended.add(row)


def _select(cache: DynamicCache, rows: Tensor) -> None:
    """Drop all other rows of a cache."""
    for layer in cache.layers:
        if isinstance(layer, PreallocatedLayer):
            layer.batch_select_indices(rows)
        else:  # states of recurrent layers have no selection, but beam search's reordering does the same
            layer.reorder_cache(cast(torch.LongTensor, rows))


def _read(
    model: PreTrainedModel, embeds_BTD: Tensor, mask_BT: Tensor, prefixes: Sequence[Prefix]
) -> tuple[Tensor, DynamicCache]:
    """Read the prompts after their known beginnings: logits [B, V] after each, and the cache."""
    pads_B = mask_BT.shape[1] - mask_BT.sum(1)
    known_B = torch.tensor([length(prefix) for prefix in prefixes], device=mask_BT.device)
    columns = int((pads_B + known_B).min()) if bool((known_B > 0).all()) else 0
    caches, logits = [], []
    for rows in torch.arange(len(mask_BT)).split(_ROWS):
        if columns:
            cache = assembled(model, [prefixes[row] for row in rows], pads_B[rows], columns, gradients=False)
        else:
            cache = _plain(model)
        logits.append(_next_logits(model, embeds_BTD[rows, columns:], mask_BT[rows], cache))
        caches.append(cache)
    merged = caches[0]
    if len(caches) > 1:
        for layer, *others in zip(*(cache.layers for cache in caches), strict=True):
            layer.keys = torch.cat([layer.keys, *(other.keys for other in others)])
            layer.values = torch.cat([layer.values, *(other.values for other in others)])
            layer._room = None
    return torch.cat(logits), merged


def _shared_prefixes(model: PreTrainedModel, embeds_BTD: Tensor, mask_BT: Tensor, shared: int) -> list[list[Segment]]:
    """The common beginning of all rows, read once; nothing for `shared` = 0."""
    if not shared:
        return [[] for _ in embeds_BTD]
    first = mask_BT.shape[1] - int(mask_BT[0].sum())
    segment = extend(model, [[]], [embeds_BTD[0, first : first + shared]])[0]
    return [[segment] for _ in embeds_BTD]


def _plain(model: PreTrainedModel) -> DynamicCache:
    cache = plain_cache(model)
    assert cache is not None, "the model keeps nothing but keys and values"
    return cache


def _next_logits(model: PreTrainedModel, embeds_BTD: Tensor, mask_BT: Tensor, cache: DynamicCache) -> Tensor:
    """Logits [B, V] after the last position of `embeds_BTD`; `mask_BT` covers the cached positions too."""
    position_ids = {name: value[:, -embeds_BTD.shape[1] :] for name, value in positions(model, mask_BT).items()}
    last_only = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
    logits: Tensor = model(
        inputs_embeds=embeds_BTD,
        attention_mask=mask_BT,
        past_key_values=cache,
        use_cache=True,
        **position_ids,
        **last_only,
    ).logits
    return logits[:, -1]
