"""Activation checkpointing of a frozen backbone: a layer stores only its input and runs again in the backward pass.

transformers offers it for models in training mode only; the frozen backbone stays in eval mode, without dropout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from dep.models.backbones.layers import decoder_layers

RECOMPUTES = "recomputes_layers"
"""Attribute of a checkpointed model. It cannot be given a cache: each layer would add its keys and values twice."""


def checkpoint_activations(model: PreTrainedModel) -> None:
    """Make every layer of `model` run again in the backward pass; without gradients nothing changes."""
    for layer in decoder_layers(model):
        layer.forward = _checkpointed(layer.forward)
    setattr(model, RECOMPUTES, True)


def _checkpointed(forward: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    return run
