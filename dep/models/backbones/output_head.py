"""Computes logits from hidden states with the output head of a backbone alone."""

from __future__ import annotations

from torch import Tensor, nn
from transformers import PreTrainedModel

from dep.utils.errors import DepError


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
