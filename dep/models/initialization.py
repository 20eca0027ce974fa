"""How trainable linear layers start: Xavier uniform (Appendix C.2.2) or torch's default (public code)."""

from __future__ import annotations

from torch import nn

from dep.models.settings import Init


def initialise(module: nn.Module, how: Init) -> None:
    """Initialise every linear layer inside `module` in place; `default` leaves torch's own initialisation."""
    if how == "default":
        return
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
