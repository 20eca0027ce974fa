"""The adapter of StyleVector (Zhang et al., 2025), which adds a vector of the user to the LLM's activations.

    h_t <- h_t + α s_u   for the output h_t of one decoder layer, at each position t that predicts a token of the review

s_u is the user's style vector, the one vector of `batch.user_history.his` [B, 1, D]. The adapter has no parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from dep.models.adapters.base import Adapter, AdapterParts
from dep.models.backbones.layers import decoder_layers
from dep.models.settings import StyleVectorConfig
from dep.types import IGNORE, Batch, UserHistory
from dep.utils.errors import DepError


class StyleVectorAdapter(Adapter):
    """`style_vector`: adds α s_u to the output of one decoder layer while the LLM predicts a review.

    The paper adds the vector from the end of the prompt on. Here the first such position is the prompt's last token,
    which predicts the first token of the review.

    Args:
        layer: the index of the decoder layer.
        alpha: α, the factor on the style vector.
    """

    statistics_of = ()
    needs_branches = False

    def __init__(self, layer: int, alpha: float) -> None:
        super().__init__()
        self.layer, self.alpha = layer, alpha

    @classmethod
    def from_parts(cls, parts: AdapterParts) -> StyleVectorAdapter:
        """Build the adapter for the layer in `soft_prompt.style_vector`."""
        config = parts.soft_prompt.style_vector
        return cls(steered_layer(config, len(decoder_layers(parts.model))), config.alpha)

    def stored_numbers(self, history: UserHistory) -> int:
        """Return D, since one vector is all that is stored about a user."""
        return history.his.numel()

    @contextmanager
    def attached(self, model: PreTrainedModel, batch: Batch) -> Iterator[None]:
        """Steer `model` inside the `with` block.

        Raises:
            DepError: the batch has no style vectors.
        """
        if batch.user_history is None:
            raise DepError("a style vector", "batch.user_history", "none", "use the method style_vector")
        shift_B1D, first_B = self.alpha * batch.user_history.his, _first_steered(batch)
        length = batch.ids.shape[1]

        def steer(layer: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            hidden_BTD: Tensor = output[0] if isinstance(output, tuple) else output
            at_T = torch.arange(hidden_BTD.shape[1], device=first_B.device)
            generated = hidden_BTD.shape[1] == 1 < length  # a token after the prompt, which is read alone
            steered_BT = (at_T >= first_B[:, None]) | generated
            hidden_BTD = hidden_BTD + (steered_BT[..., None] * shift_B1D).to(hidden_BTD.dtype)
            return (hidden_BTD, *output[1:]) if isinstance(output, tuple) else hidden_BTD

        handle = decoder_layers(model)[self.layer].register_forward_hook(steer)
        try:
            yield
        finally:
            handle.remove()


def steered_layer(config: StyleVectorConfig, layers: int) -> int:
    """Return the index of the steered layer of an LLM with `layers` decoder layers.

    Raises:
        DepError: the LLM has no such layer.
    """
    layer = layers // 2 if config.layer is None else config.layer
    if not 0 <= layer < layers:
        raise DepError("soft_prompt.style_vector.layer", f"0 to {layers - 1}", str(layer), "null takes the middle one")
    return layer


def _first_steered(batch: Batch) -> Tensor:
    """Return for each row [B] the position that predicts the first token of the review.

    Rows without labels are prompts to continue, which are padded on the left: it is their last position.
    """
    predicts_BT = torch.zeros_like(batch.labels, dtype=torch.bool)
    predicts_BT[:, :-1] = batch.labels[:, 1:] != IGNORE
    predicts_BT[:, -1] = True
    return predicts_BT.int().argmax(1)
