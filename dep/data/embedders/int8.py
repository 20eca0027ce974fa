"""Prepares an encoder's linear layers for eight bits with SmoothQuant (Xiao et al., 2023), without calibration texts.

    y = (x / s) (s W)^T,   s_i = max|x_i|^a / max|W_i|^(1 - a)

Here x is a layer's input, W its weight and i a component of the input. A few components of x are far larger than the
rest, and eight bits must cover their range. Dividing by s moves a part of that range into the weights. Texts of random
words are enough to measure max|x_i|, because the same components are large for any text.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

_SHARE = 0.4
"""The exponent a in the equation; 0.4 to 0.5 is best on MiniLM."""
_TEXTS, _WORDS = 16, 64
"""The number of random texts, and the number of tokens in each."""


class _Scaled(nn.Module):
    """A linear layer whose input is divided by the scales and whose weights are multiplied by them."""

    scale: Tensor

    def __init__(self, linear: nn.Linear, scale_I: Tensor) -> None:
        super().__init__()
        self.linear = nn.Linear(linear.in_features, linear.out_features, linear.bias is not None)
        self.linear.load_state_dict({**linear.state_dict(), "weight": linear.weight.detach() * scale_I})
        self.register_buffer("scale", 1 / scale_I)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x * self.scale)
        return y


@torch.no_grad()
def smooth(encoder: PreTrainedModel) -> None:
    """Move scales from inputs to weights in all linear layers of `encoder`; its outputs change only by rounding errors.

    Args:
        encoder: the encoder, in float32 on the CPU; it is changed in place.
    """
    largest: dict[str, Tensor] = {}

    def record(name: str) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            size_I = inputs[0].detach().abs().flatten(0, -2).amax(0)
            largest[name] = torch.maximum(size_I, largest.get(name, size_I))

        return hook

    linears = {name: module for name, module in encoder.named_modules() if isinstance(module, nn.Linear)}
    hooks = [module.register_forward_pre_hook(record(name)) for name, module in linears.items()]
    words = int(encoder.config.get_text_config().vocab_size)
    ids = torch.randint(words, (_TEXTS, _WORDS), generator=torch.Generator().manual_seed(0))
    encoder(input_ids=ids, attention_mask=torch.ones_like(ids))
    for hook in hooks:
        hook.remove()
    for name, size_I in largest.items():
        linear = linears[name]
        weight_I = linear.weight.abs().amax(0).clamp(min=1e-5)
        scale_I = size_I.clamp(min=1e-5) ** _SHARE / weight_I ** (1 - _SHARE)
        parent, _, child = name.rpartition(".")
        setattr(encoder.get_submodule(parent), child, _Scaled(linear, scale_I / scale_I.median()))


def compressed(model: Any) -> Any:
    """Return a copy of an OpenVINO model whose linear layers have weights in eight bits.

    Args:
        model: the model; its embedding tables keep their precision.
    """
    import nncf

    logging.getLogger("nncf").setLevel(logging.ERROR)  # it prints a table of the settings
    return nncf.compress_weights(
        model, mode=nncf.CompressWeightsMode.INT8_ASYM, ignored_scope=nncf.IgnoredScope(types=["Gather"])
    )
