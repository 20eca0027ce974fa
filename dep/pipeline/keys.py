"""Computes the keys of an arm's results; a key is a hash of everything that a result depends on.

    encoder key      what a user encoder's pretraining depends on
    adapter key      what the training depends on
    users key        what the LoRAs of single users depend on, apart from a user's reviews
    prediction key   the adapter key, the method at test time, and the settings of generation
    score key        the prediction key and the metrics

Two arms with equal keys have equal results, and so they share a file in the cache.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from dep.config.schema import identity
from dep.pipeline.arm import Arm
from dep.pipeline.content import backbone_identity, embedder_fingerprint, metric_signatures, retriever_fingerprint
from dep.utils.digest_memo import memoized_digest
from dep.utils.fields import numeric
from dep.utils.hashing import json_digest

VERSIONS = {
    "protocol": 2, "retrieval": 1, "difference": 1, "prompt": 4, "adapter": 1, "pretraining": 1, "training": 1,
    "profile": 1, "decoding": 2, "scoring": 1, "user_lora": 1, "token_weights": 1,
}  # fmt: skip
"""The version of each part of the code. Whoever changes a part so that its results change must raise its version by
one; all results that depend on the part are then computed again."""
_DATA = ("retriever", "difference", "protocol")


def adapter_key(arm: Arm) -> str:
    """Return the key of the trained adapter, which is equal for two arms that differ only at test time."""
    if arm.training_view is not arm:
        return adapter_key(arm.training_view)
    prompt, soft = arm.configured
    applied = ("history", "warm_start_epochs")  # already applied by training_view, and by warm_start and settings
    trained = {name: value for name, value in numeric(arm.settings).items() if name not in applied}
    start = [adapter_key(arm.warm_start)] if arm.warm_start else []
    parts = [*_content(arm), _training_data(arm), identity(arm.config, "compressor", "projector")]
    encoder = [encoder_key(arm)] if arm.method.pretrains else []
    weighted = arm.settings.token_weights == "history"  # the weights read the run's prompt, whatever the method's is
    weights = [numeric(arm.config.prompt), _versions("token_weights")] if weighted else []
    versions = _versions("adapter", "training")
    return json_digest([*parts, numeric(prompt), numeric(soft), trained, *encoder, *start, *weights, versions])


def encoder_key(arm: Arm) -> str:
    """Return the key of the pretrained user encoder, which depends on neither the LLM nor the projector."""
    user = arm.configured[1].user_llm
    settings = [user.encoder, user.pretrain_epochs, user.pretrain_lr, arm.configured[0].max_user_history, arm.seed]
    vectors = [embedder_fingerprint(arm.config)] if arm.needs_vectors else []
    parts = [arm.source, *vectors, _training_data(arm), numeric(settings), arm.configured[1].standardize]
    return json_digest([*parts, _versions("pretraining", "difference", "protocol")])


def users_key(arm: Arm) -> str:
    """Return the key of an arm's LoRAs of single users, whose prompts name the LoRA of each."""
    assert arm.method.user_training is not None, "the method trains a LoRA for each user"
    training = arm.method.user_training._replace(others=False)
    start = [adapter_key(arm)] if arm.method.trains else []
    configured = [*map(numeric, arm.configured), *_content(arm)]
    return json_digest([configured, training, start, arm.seed, _versions("user_lora")])


def prediction_key(arm: Arm) -> str:
    """Return the key of the generated texts and the likelihoods."""
    soft = arm.method.trains or bool(arm.configured[1].branches)
    trained: Any = adapter_key(arm) if soft else [*_content(arm), *map(numeric, arm.configured)]
    if (file := arm.method.adapter_file) is not None:
        trained = [trained, memoized_digest(file, Path(arm.config.cache))]
    if arm.training_view is not arm:
        trained = [trained, *map(numeric, arm.configured)]
    profile = ("profile",) if arm.method.profiles else ()
    parts = identity(arm.config, *_DATA, "method", "generate", *profile)
    versions = _versions("decoding", *profile, *(("user_lora",) if arm.method.user_training else ()))
    return json_digest([trained, *_content(arm), parts, arm.seed, arm.config.evaluate.texts, versions])


def score_key(arm: Arm) -> str:
    """Return the key of the scores."""
    return json_digest([prediction_key(arm), metric_signatures(arm.config), _versions("scoring")])


def _content(arm: Arm) -> list[Any]:
    """Return the fingerprints of reviews, LLM and embedder, and the versions of the code that reads them."""
    backbone = backbone_identity(arm.config)
    vectors = [embedder_fingerprint(arm.config), _versions("difference")] if arm.needs_vectors else []
    retriever = retriever_fingerprint(arm.config)
    frame = arm.frame.digest if arm.frame else None
    return [arm.source, backbone, *vectors, retriever, frame, _versions("protocol", "retrieval", "prompt")]


def _versions(*parts: str) -> dict[str, int]:
    return {part: VERSIONS[part] for part in parts}


def _training_data(arm: Arm) -> str:
    """Hash the settings that decide which training examples there are; the number of test examples does not."""
    return identity(replace(arm.config, protocol=replace(arm.config.protocol, test_examples=None)), *_DATA)
