"""Keys and values of prompts' beginnings, kept as segments and put together again for a batch.

    row 0   [ system | item, past reviews            | heading ] soft tokens … review
    row 1   [ system | item, past reviews, longer … | heading ] soft tokens … review
              segment  segment                         segment    computed in each step

A segment holds the tokens between two cuts of a prompt (`Prompt.cuts`). Keys and values before the first soft token are
independent of trained weights, unless an adapter acts inside the LLM's layers; beginnings are then not kept. Segments
are therefore shared by epochs, seeds and arms (the systems of a comparison), on disk (`prefix_store`).

In a batch the segments of a row end in the same column as those of all others, and the rest follows:

    columns  [ padding | segments | rest | padding ]

A row's tokens are contiguous, so that attention windows and ALiBi, which count columns, see the distances that they see
in a row alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from dep.inference.cache_layers import plain_cache
from dep.inference.prefix_cache import positions


@dataclass(frozen=True)
class Segment:
    """Keys and values [H, T, d] of T consecutive tokens in each layer."""

    keys: list[Tensor]
    values: list[Tensor]

    @property
    def tokens(self) -> int:
        """T, the number of tokens."""
        return int(self.keys[0].shape[1])

    @property
    def nbytes(self) -> int:
        """Size of all tensors in bytes."""
        return sum(tensor.nbytes for tensor in (*self.keys, *self.values))


Prefix = Sequence[Segment]
"""The segments of one row, in order."""


def length(prefix: Prefix) -> int:
    """Return how many tokens the segments of a row hold."""
    return sum(segment.tokens for segment in prefix)


class Rest(NamedTuple):
    """The inputs with which a model computes what follows the kept beginnings of a batch.

    The rest of a row is what follows its kept beginning. S is the length of the longest rest, and C the number of
    columns that the kept beginnings and the rests take.
    """

    embeds_BSD: Tensor
    """Input embeddings of the rest of each row, padded on the right."""
    mask_BC: Tensor
    """Attention mask over the kept columns and the rest."""
    at_BS: Tensor
    """For each token of a rest its column in the batch that it was taken from."""
    real_BS: Tensor
    """bool, False on padding."""
    arguments: dict[str, Any]
    """Further arguments of the model: the cache, and position ids where it takes them."""


def rest_of(
    model: PreTrainedModel, embeds_BTD: Tensor, mask_BT: Tensor, prefixes: Sequence[Prefix], gradients: bool
) -> Rest:
    """Take from a right-padded batch what follows the kept beginnings, and put these into a cache.

    Args:
        model: a causal LM for which the function `plain_cache` returns a cache.
        embeds_BTD: input embeddings of whole rows.
        mask_BT: 1 on real tokens.
        prefixes: the kept beginning of each row, shorter than the row.
        gradients: whether the rest needs gradients; new keys and values are then not written in place.

    Returns:
        The model's inputs for the rest of each row; the cache with the kept beginnings is among their `arguments`.
    """
    kept_B = torch.tensor([length(prefix) for prefix in prefixes], device=mask_BT.device)
    rest_B = mask_BT.sum(1) - kept_B
    span_S = torch.arange(int(rest_B.max()), device=mask_BT.device)
    real_BS = span_S < rest_B[:, None]
    at_BS = (kept_B[:, None] + span_S).clamp(max=mask_BT.shape[1] - 1)
    longest = int(kept_B.max())
    columns_P = torch.arange(longest, device=mask_BT.device) >= longest - kept_B[:, None]
    mask_BC = torch.cat([columns_P, real_BS], 1).to(mask_BT.dtype)
    cache = assembled(model, prefixes, longest - kept_B, longest, gradients)
    arguments: dict[str, Any] = {"past_key_values": cache, "use_cache": True}
    if "position_ids" in positions(model, mask_BT):
        arguments["position_ids"] = at_BS
    embeds_BSD = embeds_BTD.gather(1, at_BS[..., None].expand(-1, -1, embeds_BTD.shape[-1]))
    return Rest(embeds_BSD, mask_BC, at_BS, real_BS, arguments)


def assembled(
    model: PreTrainedModel, prefixes: Sequence[Prefix], first_B: Tensor, columns: int, gradients: bool
) -> DynamicCache:
    """Build a cache that holds kept beginnings, row by row.

    Args:
        model: a causal LM for which the function `plain_cache` returns a cache.
        prefixes: the kept beginning of each row.
        first_B: column in which each row begins; columns before it are zero.
        columns: how many columns the cache has; what a row holds beyond them is left out.
        gradients: whether later keys and values need gradients.
    """
    cache = plain_cache(model, DynamicLayer) if gradients else plain_cache(model)
    assert cache is not None, "capabilities tells whether a model has a plain cache"
    starts = first_B.tolist()
    for at in range(len(cache.layers)):
        pair = []
        for side in ("keys", "values"):
            like = getattr(prefixes[0][0], side)[at]
            joined = torch.zeros(
                len(prefixes), like.shape[0], columns, like.shape[2], dtype=model.dtype, device=model.device
            )
            for row, (prefix, begin) in enumerate(zip(prefixes, starts, strict=True)):
                for segment in prefix:
                    part = getattr(segment, side)[at][:, : max(0, columns - begin)]
                    joined[row, :, begin : begin + part.shape[1]] = part
                    begin += part.shape[1]
            pair.append(joined)
        cache.update(pair[0], pair[1], at)
    return cache


@torch.no_grad()
def extend(model: PreTrainedModel, prefixes: Sequence[Prefix], embeds: Sequence[Tensor]) -> list[Segment]:
    """Compute the segments of tokens that follow kept beginnings.

    Args:
        model: a causal LM for which the function `plain_cache` returns a cache.
        prefixes: the kept beginning of each row; all rows have one, or none has.
        embeds: input embeddings [T, D] of each row's next tokens.

    Returns:
        For each row the segment of its next tokens.
    """
    rows_BTD = pad_sequence(list(embeds), batch_first=True)
    ones = [row_TD.new_ones(len(row_TD), dtype=torch.long) for row_TD in embeds]
    mask_BT = pad_sequence(ones, batch_first=True)
    kept = [length(prefix) for prefix in prefixes]
    if any(kept):
        longest = max(kept)
        first_B = longest - torch.tensor(kept, device=mask_BT.device)
        cache: DynamicCache | None = assembled(model, prefixes, first_B, longest, gradients=False)
        before = torch.arange(longest, device=mask_BT.device) >= first_B[:, None]
        mask_BT = torch.cat([before.to(mask_BT.dtype), mask_BT], 1)
    else:
        cache, longest = plain_cache(model), 0
    assert cache is not None, "capabilities tells whether a model has a plain cache"
    places = {name: value[:, longest:] for name, value in positions(model, mask_BT).items()}
    model.base_model(
        inputs_embeds=rows_BTD, attention_mask=mask_BT, past_key_values=cache, use_cache=True, **places
    )  # fmt: skip
    own = [slice(longest, longest + len(row_TD)) for row_TD in embeds]
    layers = range(len(cache.layers))
    return [
        Segment(
            [_columns(cache, at, "keys", row, span) for at in layers],
            [_columns(cache, at, "values", row, span) for at in layers],
        )
        for row, span in enumerate(own)
    ]


def _columns(cache: DynamicCache, at: int, side: Literal["keys", "values"], row: int, span: slice) -> Tensor:
    """Return the columns `span` of one row in layer `at`, as a tensor of its own."""
    layer = cache.layers[at]
    assert isinstance(layer, DynamicLayer), "a plain cache has no other layers"
    states_BHTd = layer.keys if side == "keys" else layer.values
    assert states_BHTd is not None, "the model has written its keys and values"
    return states_BHTd[row, :, span].clone()
