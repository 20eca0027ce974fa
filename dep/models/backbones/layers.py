"""Finds the decoder layers of a backbone."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel

from dep.utils.errors import DepError


def decoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    """Return the decoder layers: the module list that has as many entries as the configuration has layers.

    Raises:
        ValueError: the model has no such list.
    """
    count = model.config.get_text_config().num_hidden_layers
    for module in model.base_model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise DepError(
        f"{type(model).__name__}: expected a list of {count} decoder layers, found none; gated cross-attention, "
        "backbone.activation_checkpointing and backbone.compile need it: do without them with this backbone"
    )
