"""Computes cross-entropy without storing logits, by Apple's cut cross-entropy (https://arxiv.org/abs/2411.09009).

Its kernels multiply hidden states by the head's weights and can apply softcapping. Some architectures change their
logits in other ways, so one vector of the model's logits is first compared with what the kernels would compute.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

from dep.utils.errors import DepError

_CLOSE = 0.02
"""Largest allowed difference, relative to the largest logit; rounding in half precision causes 0.004."""


def cut_cross_entropy(
    model: PreTrainedModel, hidden_MD: Tensor, targets_M: Tensor, first_D: Tensor, logits_V: Tensor
) -> Tensor:
    """Return the negative log likelihood [M] of each target.

    Args:
        model: the causal LM whose output head is used.
        hidden_MD: hidden states at the head's input.
        targets_M: token ids.
        first_D: one hidden state, for the comparison.
        logits_V: the logits that the model computes from `first_D`.

    Raises:
        ModuleNotFoundError: the package cut-cross-entropy is not installed.
        ValueError: the model's logits are not what the kernels would compute.
    """
    from cut_cross_entropy import linear_cross_entropy

    weight = model.get_output_embeddings().weight
    softcap = getattr(model.config, "final_logit_softcapping", None)
    assumed_V = F.linear(first_D, weight)
    if softcap:
        assumed_V = softcap * torch.tanh(assumed_V / softcap)
    if not torch.allclose(assumed_V, logits_V, rtol=0, atol=_CLOSE * float(logits_V.abs().max())):
        raise DepError(
            f"train.cross_entropy=cut: expected logits that are head times hidden state, found that "
            f"{type(model).__name__} does more to them; set train.cross_entropy=chunked"
        )
    kernel = "cce" if hidden_MD.is_cuda else "torch_compile"
    nll_M: Tensor = linear_cross_entropy(
        hidden_MD, weight, targets_M, softcap=softcap, reduction="none", filter_eps="auto", impl=kernel
    )
    return nll_M.to(torch.promote_types(nll_M.dtype, torch.float32))
