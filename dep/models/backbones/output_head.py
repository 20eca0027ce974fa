"""Computes logits from hidden states with the output head of a backbone alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from transformers import PreTrainedModel

from dep.utils.errors import DepError

LOGITS = 1 << 24
"""Largest number of logits in memory, 64 MB in float32; more are computed in parts, each with its gradient."""


def head_logits(model: PreTrainedModel, hidden_MD: Tensor) -> Tensor:
    """Return the logits [M, V] that the LLM's output head gives for hidden states.

    Raises:
        DepError: the LLM caps or scales its logits after the head.
    """
    head: nn.Module = model.get_output_embeddings()
    config = model.config.get_text_config()
    if getattr(config, "final_logit_softcapping", None) or any(
        getattr(config, name, 1) not in (None, 1) for name in ("logits_scaling", "logit_scale")
    ):
        raise DepError(
            f"{type(model).__name__}", "an LLM whose logits are its output head's",
            "one that caps or scales them afterwards", "use another backbone or another method",
        )  # fmt: skip
    logits: Tensor = head(hidden_MD.to(next(head.parameters()).dtype))
    return logits


@contextmanager
def head_input(model: PreTrainedModel, computes: bool = True) -> Iterator[list[Tensor]]:
    """Collect the states [B, T, D] that the LLM's output head reads in this context, one for each call of the LLM.

    Args:
        model: the LLM.
        computes: whether the head computes its logits; without, the LLM's logits are empty in this context.
    """
    head: nn.Module = model.get_output_embeddings()
    seen: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    if not computes:
        head.forward = lambda hidden_BTD: hidden_BTD[..., :0]  # hides the method of the class
    try:
        yield seen
    finally:
        hook.remove()
        if not computes:
            del head.forward
