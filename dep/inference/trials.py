"""Tries which shortcuts a model computes exactly.

The logits of each shortcut are compared with those of the plain model. The plain model reads one prompt alone, with a
forward pass over everything for each token, without padding and without a cache.

reference        one row alone, one forward pass a token, no padding, no cache
soft tokens      input embeddings that belong to no token
padding          rows of unequal length in one batch, padded on the left
cache            keys and values of the prompt, then token by token (`decoding.decode`)
generate         the states that `transformers.generate` carries
prefix           a beginning read once, its keys and values continued (`prefix_cache`)
kept prefixes    beginnings of unequal length, kept and continued (`kept_prefixes`)
packing          rows one after another in one row (`packing`)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import LogitsProcessor, PreTrainedModel

from dep.inference.cache_layers import plain_cache
from dep.inference.decoding import Reading, decode, generate
from dep.inference.kept_prefixes import extend, rest_of
from dep.inference.packing import supports_packing
from dep.inference.prefix_cache import PrefixSpan, keys_and_values, positions
from dep.models.backbones.miniature import POSITIONS, VOCABULARY

_LENGTHS = (13, 7, 10)
"""Lengths of the trial's prompts in tokens; they are unequal and exceed a miniature's attention window."""
_SHARED = 5
"""Number of tokens with which all prompts of a trial begin."""
_NEW = 4
"""Number of tokens that a trial generates."""
_CLOSE = 1e-3
"""Largest allowed difference of logits, relative to the largest logit; rounding in float32 causes 1e-5."""
_CLOSE_IN_HALF = 0.05

Decoding = Literal["cache", "generate", "reread"]
"""How text is generated. `cache`: our own loop with a preallocated cache. `generate`: transformers' loop. `reread`: a
forward pass over everything for each token."""


class Capabilities(NamedTuple):
    """Which shortcuts are exact for an architecture; `refused` says why it cannot be used at all, or is empty."""

    refused: str = ""
    decoding: Decoding = "reread"
    padding: bool = False
    """Whether a batch may hold prompts of unequal length; if not, only prompts of one length are generated together."""
    prefix: bool = False
    kept_prefixes: bool = False
    """Whether beginnings of unequal length can be kept and put together again (`kept_prefixes`)."""
    packing: bool = False
    hard_positions: bool = False
    """Whether the model fails on prompts longer than the configuration's number of positions (learned positions)."""


@torch.no_grad()
def tried(model: PreTrainedModel) -> Capabilities:
    """Try all shortcuts on a model.

    Args:
        model: a `miniature`, or a loaded model if no miniature can be built. Trials on a loaded model are less sure:
            half precision hides small differences, and the prompts are shorter than its attention windows.
    """
    draw = torch.Generator().manual_seed(1)
    start = torch.randint(3, VOCABULARY, (_SHARED,), generator=draw)
    rests = [torch.randint(3, VOCABULARY, (length - _SHARED,), generator=draw) for length in _LENGTHS]
    rows = [torch.cat([start, rest]).to(model.device) for rest in rests]
    if refused := _refusal(model, rows):
        return Capabilities(refused)
    embeds = [_soft(model, row) for row in rows]
    decoding, padding = _decoding(model, embeds)
    beyond = embeds[0].repeat(1 + POSITIONS // len(embeds[0]), 1)
    return Capabilities(
        decoding=decoding,
        padding=padding,
        prefix=_holds(lambda: _prefix_is_exact(model, embeds)),
        kept_prefixes=_holds(lambda: _kept_prefixes_are_exact(model, embeds)),
        packing=_holds(lambda: supports_packing(model, _CLOSE)),
        hard_positions=not _holds(lambda: bool(_logits(model, beyond).isfinite().all())),
    )


def _refusal(model: PreTrainedModel, rows: list[Tensor]) -> str:
    """Say why the plain model cannot read soft tokens; empty if it can."""
    if "inputs_embeds" not in inspect.signature(model.forward).parameters:
        return "a model that takes token ids only"
    embed, row = model.get_input_embeddings(), rows[0]
    try:
        from_ids = model(input_ids=row[None], use_cache=False).logits[0]
        from_embeds = _logits(model, embed(row[None])[0])
        changed = row.clone()
        changed[-1] = (changed[-1] + 1) % VOCABULARY
        earlier = _logits(model, embed(changed[None])[0])[:-1]
        softs = [_soft(model, r) for r in rows]
        alone, batch = [_logits(model, r) for r in softs], _right_padded(model, softs)
    except Exception as error:
        return f"a model that fails on input embeddings ({type(error).__name__}: {str(error).splitlines()[0][:80]})"
    if not _same(from_ids, from_embeds):
        return "a model that reads token ids in its layers, where a soft token has none"
    if not all(bool(logits.isfinite().all()) for logits in alone):
        return "a model that computes NaN from soft tokens"
    if not _same(from_embeds[:-1], earlier):
        return "a model whose earlier positions see later ones"
    if not all(map(_same, batch, alone)):
        return "a model that computes a padded row differently from the row alone"
    return ""


class _Recorder(LogitsProcessor):
    """Chooses the most likely token and records the logits of every step."""

    def __init__(self) -> None:
        self.steps: list[Tensor] = []

    def draw(self, logits_BV: Tensor) -> Tensor:
        """Return the most likely token ids [B, 1]."""
        self.steps.append(logits_BV)
        return logits_BV.argmax(-1, keepdim=True)

    def keep(self, rows: list[int]) -> None:
        """Do nothing, since no text ends within a trial."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Record the scores of a step of `transformers.generate`."""
        self.draw(scores)
        return scores


def _decoding(model: PreTrainedModel, embeds: list[Tensor]) -> tuple[Decoding, bool]:
    """Return the fastest exact way to generate, and whether it allows prompts of unequal length in a batch."""
    unequal, equal = embeds, [row_TD[: min(_LENGTHS)] for row_TD in embeds]
    expected = [torch.cat([_written(model, [row_TD], "reread") for row_TD in rows], 1) for rows in (unequal, equal)]
    modes: tuple[Decoding, ...] = ("cache", "generate")
    for mode in modes:
        for rows, wanted in zip((unequal, equal), expected, strict=True):
            if _holds(lambda: _same(_written(model, rows, mode), wanted)):  # noqa: B023
                return mode, rows is unequal
    return "reread", False


def _written(model: PreTrainedModel, rows: list[Tensor], mode: Decoding) -> Tensor:
    """Generate greedily from left-padded prompts and return the logits [new, B, V] of every step."""
    record = _Recorder()
    embeds_BTD, mask_BT = _padded(rows, "left")
    if mode == "cache":
        decode(Reading(model, embeds_BTD, mask_BT, _SHARED), record, (), _NEW)
    elif mode == "generate":
        generate(model, embeds_BTD, mask_BT, record, [], _NEW, pad_id=0)
    else:
        decode(Reading(model, embeds_BTD, mask_BT, rereads=True), record, (), _NEW)
    return torch.stack(record.steps).to(embeds_BTD.dtype)


def _prefix_is_exact(model: PreTrainedModel, embeds: list[Tensor]) -> bool:
    """Return whether the logits of a right-padded batch stay the same if the prompts' beginning is read separately."""
    embeds_BTD, mask_BT = _padded(embeds, "right")
    lead = PrefixSpan(_SHARED, _SHARED + 1)
    cache = keys_and_values(model, embeds_BTD, lead)
    at = {name: value[:, lead.still :] for name, value in positions(model, mask_BT).items()}
    logits = model(
        inputs_embeds=embeds_BTD[:, lead.still :], attention_mask=mask_BT, past_key_values=cache, use_cache=True, **at
    ).logits  # fmt: skip
    return all(
        _same(logits[b, : len(row) - lead.still], _logits(model, row)[lead.still :]) for b, row in enumerate(embeds)
    )


def _kept_prefixes_are_exact(model: PreTrainedModel, embeds: list[Tensor]) -> bool:
    """Return whether prompts give the same logits after beginnings of unequal length, each kept in two segments."""
    if plain_cache(model) is None:
        return False
    starts = [(_SHARED + len(row_TD)) // 2 for row_TD in embeds]
    first = extend(model, [[] for _ in embeds], [row_TD[:_SHARED] for row_TD in embeds])
    kept = [[segment] for segment in first]
    rests = [row_TD[_SHARED:start] for row_TD, start in zip(embeds, starts, strict=True)]
    prefixes = [[*some, segment] for some, segment in zip(kept, extend(model, kept, rests), strict=True)]
    rest = rest_of(model, *_padded(embeds, "right"), prefixes, gradients=True)
    logits = model(inputs_embeds=rest.embeds_BSD, attention_mask=rest.mask_BC, **rest.arguments).logits
    return all(
        _same(logits[b, : len(row) - start], _logits(model, row)[start:])
        for b, (row, start) in enumerate(zip(embeds, starts, strict=True))
    )


def _right_padded(model: PreTrainedModel, embeds: list[Tensor]) -> list[Tensor]:
    """Return the logits [T, V] of each prompt, computed in one right-padded batch as in a training step."""
    embeds_BTD, mask_BT = _padded(embeds, "right")
    logits = model(
        inputs_embeds=embeds_BTD, attention_mask=mask_BT, use_cache=False, **positions(model, mask_BT)
    ).logits  # fmt: skip
    return [logits[b, : len(row)] for b, row in enumerate(embeds)]


def _padded(rows: list[Tensor], side: Literal["left", "right"]) -> tuple[Tensor, Tensor]:
    """Pad prompts to a batch [B, T, D]; also return its attention mask [B, T]."""
    ones = [row_TD.new_ones(len(row_TD), dtype=torch.long) for row_TD in rows]
    embeds_BTD, mask_BT = (pad_sequence(part, batch_first=True, padding_side=side) for part in (rows, ones))
    return embeds_BTD, mask_BT


def _logits(model: PreTrainedModel, embeds_TD: Tensor) -> Tensor:
    """Return the logits [T, V] of a prompt that is read alone, in one plain forward pass."""
    logits: Tensor = model(inputs_embeds=embeds_TD[None], use_cache=False).logits[0]
    return logits


def _soft(model: PreTrainedModel, ids_T: Tensor) -> Tensor:
    """Embed a prompt [T, D], and replace some of its tokens after the common beginning by soft tokens."""
    embeds_TD: Tensor = model.get_input_embeddings()(ids_T[None])[0].clone()
    draw = torch.Generator().manual_seed(int(ids_T.sum()))
    at = slice(_SHARED + 1, None, 3)
    embeds_TD[at] += embeds_TD.std() * torch.randn(embeds_TD[at].shape, generator=draw).to(embeds_TD)
    return embeds_TD


def _same(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape:
        return False
    close = _CLOSE if b.dtype in (torch.float32, torch.float64) else _CLOSE_IN_HALF
    return bool((a.float() - b.float()).abs().max() <= close * b.float().abs().max())


def _holds(claim: Callable[[], bool]) -> bool:
    """Return whether a trial succeeds; a shortcut that raises an error counts as failed."""
    try:
        return claim()
    except Exception:  # of any kind: whatever stops a shortcut, the plain way remains
        return False
