"""Activation checkpointing for a frozen backbone: a layer stores only its input and runs again in the backward pass.

transformers' own checkpointing needs a model in training mode, but the frozen backbone stays in eval mode (no dropout).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from dep.models.backbones.layers import decoder_layers

Hooks = dict[str, Any]
_HOOKS = (
    "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
)  # fmt: skip
RECOMPUTES = "recomputes_layers"
"""Marks a checkpointed model, which cannot use a cache, since each layer would add its keys and values twice."""


def checkpoint_activations(model: PreTrainedModel) -> None:
    """Make every layer of `model` run again in the backward pass; passes without gradients do not change."""
    for layer in decoder_layers(model):
        layer.forward = _checkpointed(layer, layer.forward)
    setattr(model, RECOMPUTES, True)


def _checkpointed(layer: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        hooks = [(module, _hooks(module)) for module in layer.modules() if module is not layer]
        contexts = lambda: (nullcontext(), _with_hooks(hooks))  # noqa: E731
        return checkpoint(forward, *args, use_reentrant=False, context_fn=contexts, **kwargs)

    return run


def _hooks(module: nn.Module) -> Hooks:
    return {name: getattr(module, name).copy() for name in _HOOKS}


@contextmanager
def _with_hooks(hooks: list[tuple[nn.Module, Hooks]]) -> Iterator[None]:
    """Restore the hooks of the forward pass while a layer runs again, since adapters are detached by then."""
    now = [(module, _hooks(module)) for module, _ in hooks]
    try:
        _set(hooks)
        yield
    finally:
        _set(now)


def _set(hooks: list[tuple[nn.Module, Hooks]]) -> None:
    for module, all_hooks in hooks:
        for name, value in all_hooks.items():
            setattr(module, name, value)
