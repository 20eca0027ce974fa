"""Activation checkpointing of a frozen backbone: a layer keeps its input alone, and runs again in the backward pass.

transformers has it too, for models in training mode; ours stays in eval mode, or dropout would come to life.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from dep.models.backbones.layers import decoder_layers

RECOMPUTES = "recomputes_layers"
"""Attribute of a model that does: no keys and values can be handed to it, for each layer would add to them twice."""


def checkpoint_activations(model: PreTrainedModel) -> None:
    """Let every layer of `model` run again in the backward pass, where there is one."""
    for layer in decoder_layers(model):
        layer.forward = _again(layer.forward)
    setattr(model, RECOMPUTES, True)


def _again(forward: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    return run
