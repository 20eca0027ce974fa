"""Generates texts in a fixed number of rows, which requests enter and leave at any token: for a server.

    prompt of a request      read alone, in a cache of its own
    next token of each row   norms, projections and head: all R rows in one product
                             attention: each row with its own keys and values, without padding

A text must not depend, not even by rounding, on what is computed beside it. A product of matrices rounds by their
shapes, and attention by the number of columns. Here every product of a step has R rows, whether requests fill them or
not, and attention has the columns of its own request alone. So the operations on a row are the same in company and
alone. What remains is the row's place among the R; `is_exact` tries each place on the loaded model and compares bits.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, DynamicCache, PreTrainedModel

from dep.inference.cache_layers import plain_cache
from dep.models.backbones.output_head import head_input

NAME = "sdpa_rows"
_TRIED_TOKENS = 2


@dataclass
class Row:
    """A request in a row: its keys and values, and what the LLM makes of its last token."""

    cache: DynamicCache
    logits_1V: Tensor
    hidden_1D: Tensor
    """The state at the input of the LLM's output head."""


class RowDecoder:
    """Reads prompts, and continues up to R texts by one token at a time.

    Args:
        model: a causal LM whose attention code is that of transformers' interface.
        rows: R.
    """

    def __init__(self, model: PreTrainedModel, rows: int) -> None:
        self.model, self.rows = model, rows

    @torch.no_grad()
    def read(self, embeds_TD: Tensor) -> Row:
        """Read a prompt, alone."""
        cache = plain_cache(self.model)
        assert cache is not None, "`is_exact` has tried the model"
        with head_input(self.model) as seen:
            out = self.model(inputs_embeds=embeds_TD[None], past_key_values=cache, use_cache=True, logits_to_keep=1)
        return Row(cache, out.logits[:, -1].float(), seen[0][:, -1])

    @torch.no_grad()
    def step(self, rows: Sequence[Row | None], tokens: Sequence[int]) -> None:
        """Append one token to each text, and set `logits_1V` and `hidden_1D` of its row.

        Args:
            rows: the R rows; None for an empty one.
            tokens: the token of each row; not used for an empty one.
        """
        lengths = [0 if row is None else row.cache.get_seq_length() for row in rows]
        device = self.model.device
        embeds_R1D = self.model.get_input_embeddings()(torch.tensor(tokens, device=device)[:, None])
        before, self.model.config._attn_implementation = self.model.config._attn_implementation, NAME
        try:
            with head_input(self.model) as seen:
                logits_R1V = self.model(
                    inputs_embeds=embeds_R1D, position_ids=torch.tensor(lengths, device=device)[:, None],
                    past_key_values=_RowCaches(rows), use_cache=True,
                ).logits  # fmt: skip
        finally:
            self.model.config._attn_implementation = before
        for at, row in enumerate(rows):
            if row is not None:
                row.logits_1V = logits_R1V[at].float().clone()  # not a view of all rows
                row.hidden_1D = seen[0][at].clone()

    def is_exact(self) -> bool:
        """Try on the model whether a row has the same bits alone and in company, at every place."""
        parameters = inspect.signature(self.model.forward).parameters
        if plain_cache(self.model) is None or not {"position_ids", "logits_to_keep"} <= parameters.keys():
            return False
        weight: Tensor = cast(nn.Embedding, self.model.get_input_embeddings()).weight
        ids = torch.arange(self.rows * 8, device=weight.device).reshape(self.rows, 8) * 7 % len(weight)
        prompts = [weight[row[: 8 - at % 6]].detach() for at, row in enumerate(ids)]
        try:
            (alone,) = self._tried(prompts[:1])
            everywhere = self._tried(prompts[:1] * self.rows)
            company = self._tried([*prompts[1:], prompts[0]])[-1]
            same = all(torch.equal(alone, found) for found in (*everywhere, company))
            return same and self._is_right(prompts[0], alone)
        except (AttributeError, TypeError, ValueError, RuntimeError):  # the architecture's code has other needs
            return False

    def _tried(self, prompts: Sequence[Tensor]) -> list[Tensor]:
        """Return the logits [S, V] of S steps after each prompt; the first prompts' rows are the first."""
        rows: list[Row | None] = [*map(self.read, prompts), *[None] * (self.rows - len(prompts))]
        steps: list[list[Tensor]] = [[] for _ in prompts]
        for _ in range(_TRIED_TOKENS):
            self.step(rows, [0 if row is None else int(row.logits_1V.argmax()) for row in rows])
            for kept, row in zip(steps, rows, strict=False):
                kept.append(cast(Row, row).logits_1V)
        return [torch.cat(kept) for kept in steps]

    @torch.no_grad()
    def _is_right(self, prompt_TD: Tensor, found_SV: Tensor) -> bool:
        """Return whether the model gives these logits [S, V] if it reads prompt and text as a whole."""
        embed, tokens = self.model.get_input_embeddings(), [int(self.read(prompt_TD).logits_1V.argmax())]
        tokens += found_SV[:-1].argmax(-1).tolist()
        whole = torch.cat([prompt_TD, embed(torch.tensor(tokens, device=prompt_TD.device))])
        logits_SV = self.model(inputs_embeds=whole[None], use_cache=False).logits[0, len(prompt_TD) :].float()
        spread = float(logits_SV.std())
        return bool((logits_SV - found_SV).abs().max() < (1e-3 if found_SV.dtype == self.model.dtype else 0.1) * spread)


class _RowCaches(DynamicCache):
    """The caches of all rows in the place of one: it gives each row its key and value, and returns what it was given.

    The keys that it returns carry the rows' whole keys and values, which `_attend` takes from them.
    """

    def __init__(self, rows: Sequence[Row | None]) -> None:
        super().__init__()
        self._rows = rows

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Append the keys and values of each row to its own cache."""
        layers: list[Any] = [None if row is None else row.cache.layers[layer_idx] for row in self._rows]
        key_states.of_rows = [  # type: ignore[attr-defined]
            None if layer is None else layer.update(key_states[[at]], value_states[[at]])
            for at, layer in enumerate(layers)
        ]
        return key_states, value_states


def _attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **given: Any
) -> tuple[Tensor, None]:
    """Attend in each row to its own keys and values; `query` is [R, H, 1, d]."""
    width = query.shape[-1]
    out = query.new_zeros(len(query), query.shape[1], value.shape[-1])
    window = given.get("sliding_window")
    for at, pair in enumerate(key.of_rows):  # type: ignore[attr-defined]
        if pair is None:
            continue
        keys, values = (states[:, :, -window:] if window else states for states in pair)
        groups = query.shape[1] // keys.shape[1]
        found = torch.nn.functional.scaled_dot_product_attention(
            query[[at]].reshape(1, -1, groups, width), keys, values, scale=given.get("scaling")
        )
        out[at] = found.reshape(query.shape[1], -1)
    return out[:, None], None


AttentionInterface.register(NAME, _attend)
