"""Sets the initial weights of the trained linear layers."""

from __future__ import annotations

from torch import nn

from dep.models.settings import Init

STD = 0.02
"""Standard deviation of `normal` weights, as transformers uses it for linear layers that a checkpoint lacks."""


def initialise(module: nn.Module, how: Init) -> None:
    """Initialise all linear layers of `module` in place.

    Args:
        module: the module whose layers are initialised, including those of its children.
        how: `xavier` for Xavier uniform weights and zero biases (Appendix C.2.2); `normal` for weights from N(0, 0.02)
            and zero biases (the public code); `default` for torch's own.
    """
    if how == "default":
        return
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            if how == "normal":
                nn.init.normal_(layer.weight, std=STD)
            else:
                nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
