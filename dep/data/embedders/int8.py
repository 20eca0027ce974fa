"""An encoder's linear layers in eight bits: SmoothQuant (Xiao et al., 2023) without a text to calibrate on.

    y = (x / s) (s W)^T,   s_i = max|x_i|^a / max|W_i|^(1 - a)

A few components of what enters a layer are far larger than the rest, and eight bits must span them: the scales s move a
part of that into the weights, which have eight bits of their own, by column. Texts of random words show what is
large, as it is so whatever is read.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

_SHARE = 0.4
"""a: how much of a component's size goes into the weights. On MiniLM 0.4 to 0.5 is best."""
_TEXTS, _WORDS = 16, 64


class _Scaled(nn.Module):
    """A linear layer whose input is made smaller, and whose weights larger."""

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
    """Scale all linear layers of `encoder`; what it computes stays the same but for rounding.

    Args:
        encoder: in float32, on the CPU.
    """
    largest: dict[str, Tensor] = {}

    def see(name: str) -> Any:
        def hook(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            size_I = given[0].detach().abs().flatten(0, -2).amax(0)
            largest[name] = torch.maximum(size_I, largest.get(name, size_I))

        return hook

    linears = {name: module for name, module in encoder.named_modules() if isinstance(module, nn.Linear)}
    hooks = [module.register_forward_pre_hook(see(name)) for name, module in linears.items()]
    words = int(encoder.config.get_text_config().vocab_size)
    ids = torch.randint(words, (_TEXTS, _WORDS), generator=torch.Generator().manual_seed(0))
    encoder(input_ids=ids, attention_mask=torch.ones_like(ids))
    for hook in hooks:
        hook.remove()
    for name, size_I in largest.items():
        linear = linears[name]
        weight_I = linear.weight.abs().amax(0).clamp(min=1e-5)
        scale_I = size_I.clamp(min=1e-5) ** _SHARE / weight_I ** (1 - _SHARE)
        inside, _, own = name.rpartition(".")
        setattr(encoder.get_submodule(inside), own, _Scaled(linear, scale_I / scale_I.median()))


def compressed(made: Any) -> Any:
    """An OpenVINO model with the weights of its linear layers in eight bits; embedding tables stay as they are.

    Args:
        made: the model.
    """
    import nncf

    logging.getLogger("nncf").setLevel(logging.ERROR)  # it prints a table of what was asked for
    return nncf.compress_weights(
        made, mode=nncf.CompressWeightsMode.INT8_ASYM, ignored_scope=nncf.IgnoredScope(types=["Gather"])
    )
