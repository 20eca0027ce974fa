"""Finds out by trial which shortcuts give exact results for an architecture (`trials`).

The shortcuts are:

    padding     prompts of unequal length in one batch, padded on the left
    cache       keys and values of the prompt are kept while tokens are added (`decoding.decode`)
    generate    transformers' own loop, `transformers.generate`
    prefix      the beginning that prompts share is read once, and its keys and values are used again (`prefix_cache`)
    kept        beginnings of unequal length are stored and used again (`kept_prefixes`)
    packing     several prompts one after another in one row of a batch (`packing`)

A shortcut that changes the logits is not used for the architecture. An architecture that
cannot read soft tokens even without shortcuts is refused. No list of model names is needed.
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
    """Return the capabilities of a loaded model, found on a miniature, or on the model if no miniature can be built."""
    known = architecture_capabilities(model.config)
    if known is None:
        if model not in _tried_themselves:
            _tried_themselves[model] = tried(model)
        known = _tried_themselves[model]
    return known


def architecture_capabilities(config: PretrainedConfig) -> Capabilities | None:
    """Return the capabilities of the architecture that `config` describes; None if no miniature of it can be built."""
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
    """Return whether a forward pass may use cached keys and values.

    It may if the result is exact and no layer runs again in the backward pass.
    """
    return capabilities(model).prefix and not _recomputes(model)


def can_keep(model: PreTrainedModel) -> bool:
    """Return whether a forward pass may continue from kept beginnings, under the conditions of `can_continue`."""
    return capabilities(model).kept_prefixes and not _recomputes(model)


def _recomputes(model: PreTrainedModel) -> bool:
    """Return whether layers run again in the backward pass, where they would extend a cache a second time."""
    return bool(getattr(model, RECOMPUTES, False)) and torch.is_grad_enabled()


def refuse_unusable(model_or_config: PreTrainedModel | PretrainedConfig, name: str) -> None:
    """Raise an error if a backbone cannot be used.

    Args:
        model_or_config: a loaded model or its configuration. A configuration of which no miniature can be built passes.
        name: the backbone's name, for the error message.

    Raises:
        DepError: the backbone cannot be used; the message says what its architecture lacks.
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
"""Capabilities that were found before, by the fields of the configuration."""
_tried_themselves: WeakKeyDictionary[PreTrainedModel, Capabilities] = WeakKeyDictionary()
