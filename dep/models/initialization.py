"""Initial weights of the trainable linear layers."""

from __future__ import annotations

from torch import nn

from dep.models.settings import Init

STD = 0.02
"""Standard deviation of `normal` weights: what transformers gives to the linear layers that a checkpoint lacks."""


def initialise(module: nn.Module, how: Init) -> None:
    """Initialise every linear layer of `module` in place.

    Args:
        module: the module whose layers are initialised, its children's too.
        how: `xavier`, Xavier uniform weights and zero biases (Appendix C.2.2); `normal`, weights from N(0, 0.02) and
            zero biases (the public code); `default` keeps torch's own.
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
