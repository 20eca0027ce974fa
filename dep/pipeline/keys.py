"""Keys of an arm's results: hashes of everything that a result depends on.

    encoder key      what a user encoder learns by itself
    adapter key      everything that training depends on
    prediction key   the adapter key, the method at test time, and decoding
    score key        the prediction key, and the metrics

Two arms with equal keys have equal results, so they share one file in the cache.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

from dep.config.schema import identity
from dep.models.backbones.load import stamp
from dep.pipeline.arm import Arm

_DATA = ("embedder", "retriever", "difference", "protocol")
_ADAPTER = ("compressor", "projector", "backbone")
_DISPLAY = ("progress", "devices")


def adapter_key(arm: Arm) -> str:
    """Key of the trained weights; equal for two arms that differ only at test time."""
    if arm.training_view is not arm:
        return adapter_key(arm.training_view)
    prompt, soft = arm.configured
    train = vars(replace(arm.config.train, seed=arm.seed))
    trained = {name: value for name, value in train.items() if name != "history"}  # training_view applies it
    parts = [*_content(arm), _training_data(arm), identity(arm.config, *_ADAPTER), vars(prompt), vars(soft)]
    encoder = [encoder_key(arm)] if arm.method.pretrains else []
    return _hash([*parts, trained | dict.fromkeys(_DISPLAY), *encoder])


def encoder_key(arm: Arm) -> str:
    """Key of a pretrained user encoder; neither the LLM nor the projection into it has a part in that."""
    user = arm.configured[1].user_llm
    learned = [user.encoder, user.pretrain_epochs, user.pretrain_lr, arm.configured[0].max_user_history, arm.seed]
    return _hash([arm.source, _training_data(arm), learned, arm.configured[1].standardize])


def prediction_key(arm: Arm) -> str:
    """Key of the generated texts and the likelihoods."""
    decoding = {k: v for k, v in vars(arm.config.generate).items() if k not in ("progress", "batch_size")}
    soft = arm.method.trains or bool(arm.configured[1].branches)
    trained: Any = adapter_key(arm) if soft else [*_content(arm), *map(vars, arm.configured)]
    if arm.training_view is not arm:
        trained = [trained, *map(vars, arm.configured)]
    profile = ("profile",) if arm.method.profiles else ()
    parts = identity(arm.config, *_DATA, "backbone", "method", *profile)
    return _hash([trained, parts, decoding, arm.seed, arm.config.evaluate.texts])


def score_key(arm: Arm) -> str:
    """Key of the scores."""
    return _hash([prediction_key(arm), identity(arm.config, "evaluate.metrics")])


def _content(arm: Arm) -> list[str]:
    """Fingerprints of the reviews and of the LLM's weights, which no field of the configuration holds."""
    return [arm.source, stamp(arm.config.backbone)]


def _training_data(arm: Arm) -> str:
    """Hash of the settings that choose the training examples; the number of test examples is none of them."""
    return identity(replace(arm.config, protocol=replace(arm.config.protocol, test_examples=None)), *_DATA)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
