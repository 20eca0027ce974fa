"""Activation checkpointing of a frozen backbone: a layer keeps its input alone, and runs again in the backward pass.

transformers has it too, for models in training mode; ours stays in eval mode, or dropout would come to life.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

RECOMPUTES = "recomputes_layers"
"""Attribute of a model that does: no keys and values can be handed to it, for each layer would add to them twice."""


def layers(model: PreTrainedModel) -> list[nn.Module]:
    """The transformer layers of a backbone.

    Raises:
        ValueError: no list of modules has as many as its configuration says.
    """
    depth: int = model.config.get_text_config().num_hidden_layers
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth:
            return list(module)
    raise ValueError(f"{type(model).__name__}: expected a list of {depth} layers, found none")


def recompute(model: PreTrainedModel) -> None:
    """Let every layer of `model` run again in the backward pass, where there is one."""
    for layer in layers(model):
        layer.forward = _again(layer.forward)
    setattr(model, RECOMPUTES, True)


def _again(forward: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    return run
