"""Computes the language loss L_gen of Eq. 11, with logits only at the positions that predict the review.

    nll_b = - Σ_t ln P(y_t | prompt, y_<t),   t over the tokens of example b's review

A prompt is several times longer than its review, and a vocabulary has 150 thousand entries, so that logits at all
positions would need more memory than the model. An architecture may change its logits after the output head
(softcapping, scaling). Therefore the whole model runs, and a hook passes only the needed positions to its head, some at
a time. Positions before the first soft token are computed first, without gradients (`prefix_cache`). The examples of a
batch may be packed (`packing`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from dep.inference.capabilities import can_continue
from dep.inference.cut_cross_entropy import cut_cross_entropy
from dep.inference.kept_prefixes import Prefix, rest_of
from dep.inference.microbatching import in_microbatches
from dep.inference.packing import pack
from dep.inference.prefix_cache import PrefixSpan, keys_and_values, positions
from dep.models.backbones.output_head import LOGITS
from dep.types import IGNORE
from dep.utils.errors import DepError

_NO_LEAD = PrefixSpan()


def example_nll(
    model: PreTrainedModel,
    embeds_BTD: Tensor,
    attention_mask_BT: Tensor,
    labels_BT: Tensor,
    lead: PrefixSpan = _NO_LEAD,
    packed: bool = False,
    cut: bool = False,
    prefixes: Sequence[Prefix] | None = None,
    weights_BT: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Compute the negative log likelihood of each example's target.

    Args:
        model: a causal LM of transformers.
        embeds_BTD: input embeddings.
        attention_mask_BT: 1 on real tokens; padding may be on either side.
        labels_BT: the target tokens at their positions, and IGNORE elsewhere.
        lead: the leading positions that need no gradient and are computed first, from `prefix_span`.
        packed: whether the examples are packed, for a model that `supports_packing`; `lead` is then ignored.
        cut: whether `cut_cross_entropy` computes the loss.
        prefixes: the kept beginning of each prompt (`prefix_store`), for prompts padded on the right; `lead` and
            `packed` are then ignored.
        weights_BT: the weight of each target token at its position; None for 1.

    Returns:
        The sum over the target's tokens [B] in nats, and the number of these tokens [B].

    Raises:
        ValueError: an example has no target token.
    """
    nll_M, rows_M = target_nll(model, embeds_BTD, attention_mask_BT, labels_BT, lead, packed, cut, prefixes)
    if weights_BT is not None:
        nll_M = nll_M * weights_BT[:, 1:][labels_BT[:, 1:] != IGNORE]
    return nll_M.new_zeros(len(labels_BT)).index_add(0, rows_M, nll_M), (labels_BT[:, 1:] != IGNORE).sum(1)


def target_nll(
    model: PreTrainedModel,
    embeds_BTD: Tensor,
    attention_mask_BT: Tensor,
    labels_BT: Tensor,
    lead: PrefixSpan = _NO_LEAD,
    packed: bool = False,
    cut: bool = False,
    prefixes: Sequence[Prefix] | None = None,
) -> tuple[Tensor, Tensor]:
    """Compute the negative log likelihood of each of the M target tokens of a batch; see `example_nll`.

    Returns:
        The values [M] in nats, row by row, and the row [M] of each.

    Raises:
        ValueError: an example has no target token.
    """
    predicts_BT = torch.zeros_like(labels_BT, dtype=torch.bool)
    predicts_BT[:, :-1] = labels_BT[:, 1:] != IGNORE  # position t predicts token t + 1
    empty_B = ~predicts_BT.any(1)
    if bool(empty_B.any()):
        row = int(empty_B.nonzero()[0])
        raise DepError(f"row {row} of the batch: expected target tokens in labels, found none; drop empty reviews")
    targets_M = labels_BT[:, 1:][predicts_BT[:, :-1]]
    rows_M = predicts_BT.nonzero()[:, 0]
    if prefixes is not None:
        rest = rest_of(model, embeds_BTD, attention_mask_BT, prefixes, embeds_BTD.requires_grad)
        known = {"inputs_embeds": rest.embeds_BSD, "attention_mask": rest.mask_BC, **rest.arguments}
        arguments = known, predicts_BT.gather(1, rest.at_BS) & rest.real_BS
    else:
        arguments = _arguments(model, embeds_BTD, attention_mask_BT, predicts_BT, lead, packed)
    return _token_nll(model, *arguments, targets_M, cut), rows_M


def _arguments(
    model: PreTrainedModel, embeds_BTD: Tensor, mask_BT: Tensor, predicts_BT: Tensor, lead: PrefixSpan, packed: bool
) -> tuple[dict[str, Any], Tensor]:
    """Return the arguments for the model, and a mask of the computed positions that predict a target token."""
    if packed:
        real_BT = mask_BT.bool()
        row = pack(embeds_BTD, real_BT)
        arguments: dict[str, Any] = {"inputs_embeds": row.embeds, "position_ids": row.positions, "use_cache": False}
        return arguments, predicts_BT[real_BT][None]
    first = lead.still if can_continue(model) else 0
    arguments = {name: value[:, first:] for name, value in positions(model, mask_BT).items()}
    arguments |= {"inputs_embeds": embeds_BTD[:, first:], "attention_mask": mask_BT, "use_cache": first > 0}
    if first:
        arguments["past_key_values"] = keys_and_values(model, embeds_BTD, lead)
    return arguments, predicts_BT[:, first:]


def _token_nll(
    model: PreTrainedModel, arguments: dict[str, Any], predicts_BT: Tensor, targets_M: Tensor, cut: bool
) -> Tensor:
    """Return the negative log likelihood [M] of each target token, in order of occurrence."""
    at_once = max(1, LOGITS // model.get_output_embeddings().weight.shape[0])
    several = len(targets_M) > at_once and model.base_model is not model
    seen: dict[str, Any] = {}

    def pick(head: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        hidden, *rest = args
        if hidden.shape[:2] != predicts_BT.shape:
            return None
        seen["hidden"] = hidden[predicts_BT]
        return seen["hidden"][None, :1] if several or cut else seen["hidden"][None], *rest

    hooks = [model.get_output_embeddings().register_forward_pre_hook(pick)]
    if several:
        hooks.append(model.base_model.register_forward_hook(lambda body, args, output: seen.update(output=output)))
    try:
        logits = model(**arguments).logits
    finally:
        for hook in hooks:
            hook.remove()
    if "hidden" not in seen:
        return _cross_entropy(logits[predicts_BT], targets_M)
    if cut:
        return cut_cross_entropy(model, seen["hidden"], targets_M, seen["hidden"][0].detach(), logits[0, 0].detach())
    if not several:
        return _cross_entropy(logits[0], targets_M)
    parts = torch.arange(len(targets_M)).split(at_once)
    return in_microbatches(
        seen["hidden"],
        [part.tolist() for part in parts],
        lambda hidden_RD, at_R: _cross_entropy(_logits(model, seen["output"], hidden_RD), targets_M[at_R]),
    )


def _logits(model: PreTrainedModel, output: Any, hidden_RD: Tensor) -> Tensor:
    """Compute the logits [R, V] of hidden states by running only the model's head and what follows the head."""
    with _returning(model.base_model, type(output)(**{**output, "last_hidden_state": hidden_RD[None]})):
        logits: Tensor = model(inputs_embeds=hidden_RD[None], use_cache=False).logits[0]
    return logits


@contextmanager
def _returning(body: nn.Module, output: Any) -> Iterator[None]:
    """Inside the `with` statement, make the forward pass of `body` return `output`."""
    own = vars(body).get("forward")  # where a library has replaced the class's own
    body.forward = lambda *_, **__: output
    try:
        yield
    finally:
        del body.forward
        if own is not None:
            body.forward = own


def _cross_entropy(logits_MV: Tensor, targets_M: Tensor) -> Tensor:
    exact = torch.promote_types(logits_MV.dtype, torch.float32)
    return F.cross_entropy(logits_MV.to(exact), targets_M, reduction="none")
