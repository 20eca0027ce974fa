"""Loops that generate text for a batch of prompts; each step adds one token to every text.

`decode` is the fastest. It keeps the keys and values of all positions, in these columns:

    [ padding | system text, equal in all prompts | rest of the prompt      | room for new tokens ]
      empty     read once and copied                read a few at a time      written in place

All prompts end in the same column, and the tokens of a prompt are contiguous. Attention windows and ALiBi, which count
columns, therefore see the same distances as for a prompt alone. A prompt that is shorter than others has fewer columns
for the common text, and reads the part that was not copied together with its rest.

Reviews differ in length, so near the end of a batch most texts have ended. `decode` stops computing them. `generate`,
transformers' own loop, computes them to the end, reads the common text once for each prompt, and copies all keys and
values at each token. It serves models that `decode` cannot handle (recurrent states, layers that attend to a user's
memory). A `Reading` that rereads works for every model and uses no cache. `capabilities` finds the fastest way that is
exact for an architecture.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor
from transformers import DynamicCache, GenerationConfig, LogitsProcessor, PreTrainedModel

from dep.inference.cache_layers import PreallocatedLayer, plain_cache
from dep.inference.kept_prefixes import Prefix, Segment, assembled, extend, length
from dep.inference.prefix_cache import positions, run_length

_ROWS = 16
"""How many prompts are read at a time: few enough for a processor's cache, and enough to fill a GPU."""
_ENDED = 8
"""Ended texts are dropped when one text in this many has ended; dropping copies the cache of the other texts."""


class TokenSampler(Protocol):
    """The interface of what chooses tokens; it may keep a state for each text of the batch."""

    def draw(self, logits_BV: Tensor) -> Tensor:
        """Choose the next token of each text; return ids [B, 1]."""

    def keep(self, rows: list[int]) -> None:
        """Keep only the states of the texts at the indices `rows`."""


class Reading:
    """A batch of prompts as one model reads and continues them, with what it keeps of the positions read so far.

    Args:
        model: a causal LM that takes a `DynamicCache`. If `plain_cache` returns None for it, it reads the common text
            for each prompt.
        embeds_BTD: input embeddings, padded on the left.
        mask_BT: 1 on real tokens.
        shared: the number of tokens with which all prompts begin (`common_beginning`); less than the shortest prompt.
        prefixes: the kept beginning of each prompt (`prefix_store`); `shared` is then not used.
        attached: opens a context inside which the model reads, such as that of LoRA, which must treat all rows alike.
        rereads: whether prompt and text are read again for each token, which every model allows; nothing is kept then.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        embeds_BTD: Tensor,
        mask_BT: Tensor,
        shared: int = 0,
        prefixes: Sequence[Prefix] | None = None,
        attached: Callable[[], AbstractContextManager[object]] = nullcontext,
        rereads: bool = False,
    ) -> None:
        self.model, self.mask_BT, self.attached = model, mask_BT, attached
        self.rereads = rereads
        self._embeds_BTD, self._shared, self._prefixes = embeds_BTD, shared, prefixes
        self._cache: DynamicCache | None = None

    def first(self) -> Tensor:
        """Read the prompts; return the logits [B, V] after each."""
        with self.attached():
            if self.rereads:
                return self._reread()
            if plain_cache(self.model) is None:
                self._cache = DynamicCache(config=self.model.config)
                return _next_logits(self.model, self._embeds_BTD, self.mask_BT, self._cache)
            known = self._prefixes
            if known is None:
                known = _shared_prefixes(self.model, self._embeds_BTD, self.mask_BT, self._shared)
            logits_BV, self._cache = _read(self.model, self._embeds_BTD, self.mask_BT, known)
            return logits_BV

    def next(self, token_B1: Tensor) -> Tensor:
        """Read the next token of each text; return the logits [B, V] after each."""
        self.mask_BT = torch.cat([self.mask_BT, self.mask_BT.new_ones(len(self.mask_BT), 1)], 1)
        embeds_B1D = self.model.get_input_embeddings()(token_B1)
        with self.attached():
            if self._cache is not None:
                return _next_logits(self.model, embeds_B1D, self.mask_BT, self._cache)
            self._embeds_BTD = torch.cat([self._embeds_BTD, embeds_B1D], 1)
            return self._reread()

    def keep(self, rows: Tensor) -> None:
        """Keep only the texts at the indices `rows`; for a reading that does not reread."""
        assert self._cache is not None, "the prompts were read"
        self.mask_BT = self.mask_BT[rows]
        _select(self._cache, rows)

    def _reread(self) -> Tensor:
        logits: Tensor = self.model(
            inputs_embeds=self._embeds_BTD, attention_mask=self.mask_BT, use_cache=False,
            **positions(self.model, self.mask_BT),
        ).logits  # fmt: skip
        return logits[:, -1]


class Reference(NamedTuple):
    """What a text is contrasted with: the same requests as another model reads them, and how the logits are mixed."""

    reading: Reading
    mix: Callable[[Tensor, Tensor], Tensor]
    """Maps logits [B, V] of the model that writes, and of the other, to those from which a token is chosen."""


@torch.no_grad()
def decode(
    reading: Reading,
    draws: TokenSampler,
    stop: Collection[int],
    max_new_tokens: int,
    reference: Reference | None = None,
) -> list[list[int]]:
    """Generate a text for each prompt of a batch.

    Args:
        reading: the prompts and the model that writes.
        draws: chooses the next tokens.
        stop: the ids of tokens that end a text.
        max_new_tokens: largest number of tokens in a text.
        reference: a model that reads the same texts in step; None for plain decoding.

    Returns:
        The ids of each text, including the token that ended it.
    """
    readings = [reading, *([reference.reading] if reference else [])]
    texts: list[list[int]] = [[] for _ in reading.mask_BT]
    rows, ended = list(range(len(texts))), set[int]()
    logits = [one.first() for one in readings]
    for _ in range(max_new_tokens):
        writes, *others = (logits_BV.float() for logits_BV in logits)
        token_B1 = draws.draw(reference.mix(writes, *others) if reference else writes)
        _append(texts, ended, rows, token_B1, stop)
        active = [at for at, row in enumerate(rows) if row not in ended]
        if not active or len(texts[rows[active[0]]]) == max_new_tokens:
            break
        if not reading.rereads and (len(rows) - len(active)) * _ENDED >= len(rows):
            remaining = torch.tensor(active, device=token_B1.device)
            token_B1, rows = token_B1[remaining], [rows[at] for at in active]
            for one in readings:
                one.keep(remaining)
            draws.keep(active)
        logits = [one.next(token_B1) for one in readings]
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
    """Generate texts as `decode` does, but by `transformers.generate`.

    All settings are passed, since transformers takes missing ones (such as a repetition penalty) from the model's
    files.
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
    """Return the number of tokens with which all prompts of a left-padded batch begin, up to the first soft token.

    At least one token of each prompt is not counted, so that every prompt still has a position to read.

    Args:
        ids_BT: token ids.
        attention_mask_BT: 1 on real tokens.
        injected_ids: ids of tokens whose embeddings are replaced, and so differ between prompts.
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
    """Add one token to each text that has not ended, and note which texts end with it."""
    for row, token in zip(rows, token_B1[:, 0].tolist(), strict=True):
        if row not in ended:
            texts[row].append(token)
            if token in stop:
                ended.add(row)


def _select(cache: DynamicCache, rows: Tensor) -> None:
    """Keep only the texts at the indices `rows` in a cache."""
    for layer in cache.layers:
        if isinstance(layer, PreallocatedLayer):
            layer.batch_select_indices(rows)
        else:  # states of recurrent layers have no selection, but beam search's reordering does the same
            layer.reorder_cache(cast(torch.LongTensor, rows))


def _read(
    model: PreTrainedModel, embeds_BTD: Tensor, mask_BT: Tensor, prefixes: Sequence[Prefix]
) -> tuple[Tensor, DynamicCache]:
    """Read what follows the known beginning of each prompt; return the logits [B, V] after each, and the cache."""
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
    """Return the logits [B, V] after the last position of `embeds_BTD`; `mask_BT` also covers the cached positions."""
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
