"""What an architecture can do exactly, tried once on a miniature of it (`trials`).

No list of model names decides: what a shortcut changes shows in the logits of a random model of two layers. A shortcut
that changes them is not used for the architecture; an architecture that fails without shortcuts is refused.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from transformers import PretrainedConfig, PreTrainedModel

from dep.inference.trials import Capabilities, tried
from dep.models.backbones.activation_checkpointing import RECOMPUTES
from dep.models.backbones.miniature import miniature
from dep.utils.errors import DepError


def capabilities(model: PreTrainedModel) -> Capabilities:
    """What is exact for a loaded model's architecture, tried on a miniature, or on the model itself without one."""
    known = architecture_capabilities(model.config)
    if known is None:
        if model not in _tried_themselves:
            _tried_themselves[model] = tried(model)
        known = _tried_themselves[model]
    return known


def architecture_capabilities(config: PretrainedConfig) -> Capabilities | None:
    """What is exact for the architecture that `config` describes; None where no miniature of it can be built."""
    text = config.get_text_config(decoder=True)
    fields = text.to_json_string(use_diff=False)
    if fields not in _known:
        try:
            model = miniature(text)
        except Exception:  # whatever code of transformers raises on a configuration that was shrunk
            _known[fields] = None
        else:
            with torch.autocast("cpu", enabled=False):  # a trainer's mixed precision would blur the comparison
                _known[fields] = tried(model)
    return _known[fields]


def can_continue(model: PreTrainedModel) -> bool:
    """Whether a forward pass may continue from cached keys and values: the result is exact, and no layer runs twice."""
    recomputes = getattr(model, RECOMPUTES, False) and torch.is_grad_enabled()
    return not recomputes and capabilities(model).prefix


def can_keep(model: PreTrainedModel) -> bool:
    """Whether a forward pass may continue from kept beginnings; see `can_continue`."""
    recomputes = getattr(model, RECOMPUTES, False) and torch.is_grad_enabled()
    return not recomputes and capabilities(model).kept_prefixes


def refuse_unusable(model_or_config: PreTrainedModel | PretrainedConfig, name: str) -> None:
    """Refuse a backbone that cannot be used.

    Args:
        model_or_config: a loaded model, or only its configuration: an architecture without a miniature then passes.
        name: of the backbone, for the message.

    Raises:
        DepError: says what the architecture lacks.
    """
    if isinstance(model_or_config, PretrainedConfig):
        config, known = model_or_config, architecture_capabilities(model_or_config)
    else:
        config, known = model_or_config.config, capabilities(model_or_config)
    if known is not None and known.refused:
        raise DepError(
            f"backbone.name_or_path={name}",
            "a causal LM that reads input embeddings",
            f"{config.model_type}, {known.refused}",
            "choose another backbone; docs/architectures.md lists those that work",
        )


_known: dict[str, Capabilities | None] = {}
"""By the fields of a configuration."""
_tried_themselves: WeakKeyDictionary[PreTrainedModel, Capabilities] = WeakKeyDictionary()
