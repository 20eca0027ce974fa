"""Functions that build what an arm (one system of a comparison) needs: data, module, profile context, generator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from dep.config.schema import build, identity
from dep.data.datamodule import Batching, ReviewData
from dep.data.prompts.builder import PromptBuilder
from dep.inference.generator import Generate
from dep.inference.layer_states import LayerStates
from dep.methods.base import ActivationContext, ProfileContext
from dep.methods.memory_reader import of_past_reviews
from dep.methods.profiles.endpoint import EndpointWriter
from dep.methods.profiles.representative_peers import Peers
from dep.methods.profiles.writer import BackboneWriter, CachedWriter, Writer
from dep.models.adapters import ADAPTERS
from dep.models.backbones.layers import decoder_layers
from dep.models.backbones.load import files
from dep.models.soft_prompt import build_soft_prompt
from dep.pipeline.arm import Arm
from dep.pipeline.content import backbone_fingerprint, backbone_identity
from dep.pipeline.resources import Resources
from dep.training.module import PersonalizationModule
from dep.types import Branch
from dep.utils.hashing import json_digest


def build_data(resources: Resources, arm: Arm) -> ReviewData:
    """Build the data module of `arm`."""
    config, (prompt, soft) = arm.config, arm.configured
    tokenizer = resources.tokenizer(config)
    batching = Batching(
        config.train.effective_batch, config.train.micro_batch, config.evaluate.batch_size, arm.seed,
        config.train.warm_start_epochs if arm.warm_start else 0, config.train.input_noise,
        config.train.last_window == "fill", arm.settings.max_examples,
    )  # fmt: skip
    builder = resources.builder(config, prompt, soft.branches, arm.frame)
    history_reader = None
    if arm.method.reads_activations and prompt.reads_user_history:
        history_reader = arm.method.history_reader(soft, _activation_context(resources, arm, builder))
    return ReviewData(
        resources.prepared(config),
        resources.cache(config) if soft.branches else None,
        build(config, "retriever"),
        builder,
        tokenizer.pad_token_id,
        batching,
        history_reader,
    )


def _activation_context(resources: Resources, arm: Arm, builder: PromptBuilder) -> ActivationContext:
    """Build the LLM's reader and the writer of neutral texts, with which the method of `arm` reads activations."""
    model, _ = resources.backbone(arm.config)
    states = LayerStates(model, json_digest(backbone_identity(arm.config)), Path(arm.config.cache))
    ask = build_profile_context(resources, arm).ask
    width = int(model.get_input_embeddings().weight.shape[1])
    plain = resources.builder(arm.config, of_past_reviews(arm.configured[0]), ())
    target_states = resources.target_states(arm.config)
    dataset, layers = resources.prepared(arm.config), len(decoder_layers(model))
    return ActivationContext(dataset, builder, ask, states, layers, width, plain, target_states)


def build_module(resources: Resources, arm: Arm, data: ReviewData) -> PersonalizationModule:
    """Build the module of `arm`: its backbone, with an untrained adapter whose weights follow from the arm's seed."""
    config, (prompt, soft) = arm.config, arm.configured
    model, tokenizer = resources.backbone(config)
    vectors = data.vectors()
    own_branches: tuple[Branch, ...] | None = ADAPTERS.component(soft.adapter).statistics_of
    standardized: list[Branch] = list(soft.branches if own_branches is None else own_branches)
    soft_prompt = build_soft_prompt(
        soft, config.compressor, config.projector, width=data.width, model=model, tokenizer=tokenizer,
        seed=arm.seed, statistics=data.statistics(standardized) if soft.standardize and vectors else None,
        categories=len(data.prepared.corpora), longest=prompt.max_user_history,
    )  # fmt: skip
    return PersonalizationModule(
        model, soft_prompt, arm.settings, prefixes=resources.prefixes(config), states=resources.target_states(config)
    )


def build_profile_context(resources: Resources, arm: Arm) -> ProfileContext:
    """Build the writer, the instructions and the peers with which the method of `arm` writes profiles."""
    config, (prompt, _) = arm.config, arm.configured
    model, tokenizer = resources.backbone(config)
    writer: Writer
    if config.profile.writer == "endpoint":
        writer = EndpointWriter(config.profile)
    else:
        name = identity(config, "backbone") + backbone_fingerprint(config)
        writer = BackboneWriter(model, tokenizer, name, prompt, config.profile.max_new_tokens, config.generate)
    peers = None
    if arm.method.needs_peers:
        prepared, cache = resources.prepared(config), resources.cache(config)
        corpora, pool = prepared.corpora, prepared.pool
        vectors = {category: cache.vectors(corpus, pool[category]) for category, corpus in corpora.items()}
        peers = Peers(corpora, vectors, pool)
    return ProfileContext(CachedWriter(writer, Path(config.cache)), config.profile.instructions, peers)


def build_plain(resources: Resources, arm: Arm) -> PromptBuilder | None:
    """Build the builder of the arm's prompts without soft tokens; None if `generate.contrast` does not need them."""
    if not arm.config.generate.contrast:
        return None
    return resources.builder(arm.config, replace(arm.configured[0], reads_user_history=False, user_tokens=0), ())


def build_generator(resources: Resources, arm: Arm, module: PersonalizationModule, **overrides: Any) -> Generate:
    """Build the generator that `generate.engine` names; `overrides` replace some of its settings."""
    _, tokenizer = resources.backbone(arm.config)
    settings = replace(arm.config.generate, seed=arm.seed, **overrides)
    if settings.engine == "vllm":
        from dep.inference.vllm import VLLM

        return VLLM(settings, files(arm.config.backbone), module.backbone, tokenizer, module.soft_prompt)
    return Generate(settings, module.backbone, tokenizer, module.soft_prompt, module.prefixes)
