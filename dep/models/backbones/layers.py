"""Where the decoder layers of a backbone are."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel

from dep.utils.errors import DepError


def decoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    """The layers of a decoder: the list in its body that is as long as its configuration says.

    Raises:
        ValueError: where there is none.
    """
    count = model.config.get_text_config().num_hidden_layers
    for module in model.base_model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise DepError(
        f"{type(model).__name__}: expected a list of {count} decoder layers, found none; gated cross-attention, "
        "backbone.activation_checkpointing and backbone.compile need it: do without them with this backbone"
    )
