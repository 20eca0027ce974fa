"""What the arms of a run share: reviews, vectors, backbone, metrics, each made when it is first needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from dep.config.schema import RunConfig, build, identity
from dep.data.datamodule import Batching, ReviewData
from dep.data.dataset_store import load_dataset
from dep.data.prompts.builder import PromptBuilder
from dep.data.protocol import ReviewDataset
from dep.data.vectors.store import VectorStore
from dep.evaluation.metrics import Metric, build_metrics
from dep.inference.generator import Generate
from dep.methods.base import ProfileContext
from dep.methods.profiles.endpoint import EndpointWriter
from dep.methods.profiles.representative_peers import Peers
from dep.methods.profiles.writer import BackboneWriter, CachedWriter, Writer
from dep.models.adapters.lora import add_lora
from dep.models.backbones.load import files, stamp
from dep.models.backbones.load import load as load_backbone
from dep.models.soft_prompt import build_soft_prompt
from dep.pipeline.arm import Arm
from dep.training.module import PersonalizationModule
from dep.types import Branch


class Resources:
    """What the arms of a run share, each part made when it is first needed."""

    def __init__(self, config: RunConfig, console: Console) -> None:
        self.config, self.console = config, console
        self.source = build(config, "source")
        self._prepared: dict[str, ReviewDataset] = {}
        self._caches: dict[str, VectorStore] = {}
        self._backbones: dict[str, Any] = {}
        self._metrics: dict[str, dict[str, Metric]] = {}

    @cached_property
    def fingerprint(self) -> str:
        """Of the reviews."""
        return str(self.source.fingerprint())

    @cached_property
    def device(self) -> torch.device:
        """Where generation and scoring happen."""
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def arms(self, configs: Mapping[str, RunConfig], seeds: Iterable[int]) -> list[Arm]:
        """Every arm at every seed."""
        return [Arm(name, config, seed, self.fingerprint) for name, config in configs.items() for seed in seeds]

    def prepared(self, config: RunConfig) -> ReviewDataset:
        """Filtered corpora and examples."""
        key = identity(config, "protocol")
        if key not in self._prepared:
            self._prepared[key], self.prepared_folder = load_dataset(Path(config.cache), self.source, config.protocol)
        return self._prepared[key]

    def cache(self, config: RunConfig) -> VectorStore:
        """The vector cache of an embedder and its difference settings."""
        key = identity(config, "embedder", "difference")
        if key not in self._caches:
            self._caches[key] = VectorStore(Path(config.cache), build(config, "embedder"), config.difference)
        return self._caches[key]

    def backbone(self, config: RunConfig) -> Any:
        """(model, tokenizer) of a backbone."""
        key = identity(config, "backbone")
        if key not in self._backbones:
            self._backbones[key] = load_backbone(config.backbone)
        return self._backbones[key]

    def metrics(self, config: RunConfig) -> dict[str, Metric]:
        """Metrics by their column; those of texts only where texts are generated."""
        key = identity(config, "evaluate.metrics")
        if key not in self._metrics:
            self._metrics[key] = build_metrics(config.evaluate.metrics, config.evaluate.texts)
        return self._metrics[key]

    def data(self, arm: Arm) -> ReviewData:
        """The arm's data module."""
        config, (prompt, soft) = arm.config, arm.configured
        _, tokenizer = self.backbone(config)
        batching = Batching(
            config.train.effective_batch, config.train.micro_batch, config.evaluate.batch_size, arm.seed,
            config.train.textless_epochs if arm.warm_start else 0, config.train.input_noise,
        )  # fmt: skip
        return ReviewData(
            self.prepared(config),
            self.cache(config) if soft.branches else None,
            build(config, "retriever"),
            PromptBuilder(tokenizer, prompt, soft.branches),
            tokenizer.pad_token_id,
            batching,
        )

    def module(self, arm: Arm, data: ReviewData) -> PersonalizationModule:
        """Backbone and an untrained soft prompt."""
        config, (prompt, soft) = arm.config, arm.configured
        model, tokenizer = self.backbone(config)
        if soft.source == "user_llm" and soft.user_llm.strategy == "lora":
            model, tokenizer = load_backbone(config.backbone)  # a copy of its own, since it is changed
            add_lora(model, soft.user_llm.lora_rank, arm.seed)
        vectors = data.vectors()
        width = next(iter(vectors.values())).his_NE.shape[1] if vectors else 1
        counted: list[Branch] = ["his"] if soft.source in ("pplug", "user_llm") else list(soft.branches)
        soft_prompt = build_soft_prompt(
            soft, config.compressor, config.projector, width=width, model=model, tokenizer=tokenizer,
            seed=arm.seed, statistics=data.statistics(counted) if soft.standardize and vectors else None,
            categories=len(data.prepared.corpora), longest=prompt.max_user_history,
        )  # fmt: skip
        return PersonalizationModule(model, soft_prompt, arm.settings)

    def writing(self, arm: Arm) -> ProfileContext:
        """What the arm's method writes profiles with."""
        config, (prompt, _) = arm.config, arm.configured
        model, tokenizer = self.backbone(config)
        writer: Writer
        if config.profile.writer == "endpoint":
            writer = EndpointWriter(config.profile)
        else:
            name = identity(config, "backbone") + stamp(config.backbone)
            writer = BackboneWriter(model, tokenizer, name, prompt, config.profile.max_new_tokens, config.generate)
        peers = None
        if arm.method.needs_peers:
            made, cache = self.prepared(config), self.cache(config)
            vectors = {
                category: cache.vectors(corpus, made.pool[category]) for category, corpus in made.corpora.items()
            }
            peers = Peers(made.corpora, vectors, made.pool)
        return ProfileContext(CachedWriter(writer, Path(config.cache)), config.profile.instructions, peers)

    def writer(self, arm: Arm, module: PersonalizationModule, **overrides: Any) -> Generate:
        """The arm's generator: transformers', or vLLM's where the configuration says so."""
        _, tokenizer = self.backbone(arm.config)
        settings = replace(arm.config.generate, seed=arm.seed, **overrides)
        if settings.engine == "vllm":
            from dep.inference.vllm import VLLM

            return VLLM(settings, files(arm.config.backbone), module.backbone, tokenizer, module.soft_prompt)
        return Generate(settings, module.backbone, tokenizer, module.soft_prompt)
