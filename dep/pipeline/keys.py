"""Computes the keys of an arm's results; a key is a hash of everything that a result depends on.

An arm is one system of a comparison, here at one seed.

    encoder key      what a user encoder's pretraining depends on
    alignment key    what the alignment stage depends on
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
from dep.data.prompts.chat_frame import ChatFrame
from dep.models.adapters import ADAPTERS
from dep.pipeline.arm import Arm
from dep.pipeline.content import backbone_identity, embedder_fingerprint, metric_signatures, retriever_fingerprint
from dep.utils.digest_memo import memoized_digest
from dep.utils.fields import numeric
from dep.utils.hashing import json_digest

VERSIONS = {
    "protocol": 2, "retrieval": 1, "difference": 1, "prompt": 4, "adapter": 1, "pretraining": 1, "training": 1,
    "alignment": 1, "profile": 1, "activation": 1, "decoding": 2, "scoring": 1, "user_lora": 1, "token_weights": 1,
    "donors": 1, "calibration": 1,
}  # fmt: skip
"""The version of each part of the code. Whoever changes a part so that its results change must raise its version by
one; all results that depend on the part are then computed again."""
_DATA = ("retriever", "difference", "protocol")


def adapter_key(arm: Arm) -> str:
    """Return the key of the trained adapter, which is equal for two arms that differ only at test time."""
    if arm.training_view is not arm:
        return adapter_key(arm.training_view)
    if arm.calibrates:
        return json_digest([adapter_key(arm.uncalibrated), _versions("calibration")])
    prompt, soft = arm.configured
    # already applied by training_view, by warm_start and settings, and by the key of the alignment
    applied = ("history", "warm_start_epochs", "align", "calibrate")
    settings = numeric(arm.settings).items()  # one that is None is off, and must not change older keys
    trained = {name: value for name, value in settings if name not in applied and value is not None}
    start = [adapter_key(arm.warm_start)] if arm.warm_start else []
    start += [alignment_key(arm)] if arm.alignment_tasks else []
    parts = [*_content(arm, arm.frame), _training_data(arm), identity(arm.config, "compressor", "projector")]
    encoder = [encoder_key(arm)] if arm.method.pretrains else []
    weighted = arm.settings.token_weights == "history"  # the weights read the run's prompt, whatever the method's is
    weights = [numeric(arm.config.prompt), _versions("token_weights")] if weighted else []
    versions = _versions("adapter", "training")
    return json_digest([*parts, numeric(prompt), numeric(soft), trained, *encoder, *start, *weights, versions])


def alignment_key(arm: Arm) -> str:
    """Return the key of the aligned adapter; arms that show reviews with and without text share it."""
    soft, align = arm.configured[1], arm.config.train.align
    if not ADAPTERS.component(soft.adapter).fixed_slots:
        soft = replace(soft, slots=0)  # which only such an adapter reads
    parts = [*_content(arm, arm.alignment_frame), _training_data(arm), identity(arm.config, "compressor", "projector")]
    settings = [*map(numeric, (arm.alignment_prompt, soft, arm.alignment_settings)), arm.alignment_tasks]
    encoder = [encoder_key(arm)] if arm.method.pretrains else []
    versions = _versions("adapter", "training", "alignment")
    return json_digest([*parts, *settings, align.max_examples, align.held_out, *encoder, versions])


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
    configured = [*map(numeric, arm.configured), *_content(arm, arm.frame)]
    return json_digest([configured, training, start, arm.seed, _versions("user_lora")])


def prediction_key(arm: Arm) -> str:
    """Return the key of the generated texts and the likelihoods."""
    soft = arm.method.trains or bool(arm.configured[1].branches)
    trained: Any = adapter_key(arm) if soft else [*_content(arm, arm.frame), *map(numeric, arm.configured)]
    if (file := arm.method.adapter_file) is not None:
        trained = [trained, memoized_digest(file, Path(arm.config.cache))]
    if arm.training_view is not arm:
        trained = [trained, *map(numeric, arm.configured)]
    writes, reads = arm.method.profiles or arm.method.reads_activations, arm.method.reads_activations
    profile = ("profile",) if writes else ()
    parts = identity(arm.config, *_DATA, "method", "generate", *profile)
    lora = ("user_lora",) if arm.method.user_training else ()
    donors = ("donors",) if arm.method.draws_donors else ()
    versions = _versions("decoding", *profile, *(("activation",) if reads else ()), *lora, *donors)
    return json_digest([trained, *_content(arm, arm.frame), parts, arm.seed, arm.config.evaluate.texts, versions])


def score_key(arm: Arm) -> str:
    """Return the key of the scores."""
    return json_digest([prediction_key(arm), metric_signatures(arm.config), _versions("scoring")])


def _content(arm: Arm, frame: ChatFrame | None) -> list[Any]:
    """Return the fingerprints of reviews, LLM, embedder and frame, and the versions of the code that reads them."""
    backbone = backbone_identity(arm.config)
    vectors = [embedder_fingerprint(arm.config), _versions("difference")] if arm.needs_vectors else []
    retriever = retriever_fingerprint(arm.config)
    framed = frame.digest if frame else None
    return [arm.source, backbone, *vectors, retriever, framed, _versions("protocol", "retrieval", "prompt")]


def _versions(*parts: str) -> dict[str, int]:
    return {part: VERSIONS[part] for part in parts}


def _training_data(arm: Arm) -> str:
    """Hash the settings that decide which training examples there are; the number of test examples does not."""
    return identity(replace(arm.config, protocol=replace(arm.config.protocol, test_examples=None)), *_DATA)
