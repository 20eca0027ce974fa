"""What the arms of a run share: reviews, vectors, backbone, metrics, each made when it is first needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from dep.arm import Arm
from dep.data.cache import VectorCache
from dep.data.module import Batching, ReviewData
from dep.data.prepared import load_prepared
from dep.data.prompt import PromptBuilder
from dep.data.protocol import Prepared
from dep.eval.base import Metric
from dep.eval.metrics import build_metrics
from dep.methods.base import Writing
from dep.model.backbone import files, stamp
from dep.model.backbone import load as load_backbone
from dep.model.generate import Generate
from dep.model.lit import LitDEP
from dep.model.lora import add_lora
from dep.model.soft_prompt import build_soft_prompt
from dep.profile.endpoint import EndpointWriter
from dep.profile.peers import Peers
from dep.profile.writer import BackboneWriter, Kept, Writer
from dep.records import Branch
from dep.schema import RunConfig, choose, compressor_config, identity


class Shared:
    """What the arms of a run share, each part made when it is first needed."""

    def __init__(self, config: RunConfig, console: Console) -> None:
        self.config, self.console = config, console
        self.source = choose(config, "source")
        self._prepared: dict[str, Prepared] = {}
        self._caches: dict[str, VectorCache] = {}
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

    def prepared(self, config: RunConfig) -> Prepared:
        """Filtered corpora and examples."""
        key = identity(config, "protocol")
        if key not in self._prepared:
            self._prepared[key], self.prepared_folder = load_prepared(Path(config.cache), self.source, config.protocol)
        return self._prepared[key]

    def cache(self, config: RunConfig) -> VectorCache:
        """The vector cache of an embedder and its difference settings."""
        key = identity(config, "embedder", "difference")
        if key not in self._caches:
            self._caches[key] = VectorCache(Path(config.cache), choose(config, "embedder"), config.difference)
        return self._caches[key]

    def backbone(self, config: RunConfig) -> Any:
        """(model, tokenizer) of a backbone."""
        key = identity(config, "backbone")
        if key not in self._backbones:
            self._backbones[key] = load_backbone(config.backbone)
        return self._backbones[key]

    def metrics(self, config: RunConfig) -> dict[str, Metric]:
        """The metrics of generated texts; none where no texts are generated."""
        key = identity(config, "evaluate.metrics")
        if key not in self._metrics:
            self._metrics[key] = build_metrics(config.evaluate.metrics) if config.evaluate.texts else {}
        return self._metrics[key]

    def data(self, arm: Arm) -> ReviewData:
        """The arm's data module."""
        config, (prompt, soft) = arm.config, arm.shape
        _, tokenizer = self.backbone(config)
        batching = Batching(
            config.train.effective_batch, config.train.micro_batch, config.evaluate.batch_size, arm.seed,
            config.train.textless_epochs if arm.first else 0, config.train.input_noise,
        )  # fmt: skip
        return ReviewData(
            self.prepared(config),
            self.cache(config) if soft.branches else None,
            choose(config, "retriever"),
            PromptBuilder(tokenizer, prompt, soft.branches),
            tokenizer.pad_token_id,
            batching,
        )

    def module(self, arm: Arm, data: ReviewData) -> LitDEP:
        """Backbone and an untrained soft prompt."""
        config, (prompt, soft) = arm.config, arm.shape
        model, tokenizer = self.backbone(config)
        if soft.source == "user_llm" and soft.user_llm.strategy == "lora":
            model, tokenizer = load_backbone(config.backbone)  # a copy of its own, since it is changed
            add_lora(model, soft.user_llm.lora_rank, arm.seed)
        vectors = data.vectors()
        width = next(iter(vectors.values())).his_NE.shape[1] if vectors else 1
        counted: list[Branch] = ["his"] if soft.source in ("pplug", "user_llm") else list(soft.branches)
        soft_prompt = build_soft_prompt(
            soft, compressor_config(config), config.projector, width=width, model=model, tokenizer=tokenizer,
            seed=arm.seed, statistics=data.statistics(counted) if soft.standardize and vectors else None,
            categories=len(data.prepared.corpora), longest=prompt.past,
        )  # fmt: skip
        return LitDEP(model, soft_prompt, arm.settings)

    def writing(self, arm: Arm) -> Writing:
        """What the arm's method writes profiles with."""
        config, (prompt, _) = arm.config, arm.shape
        model, tokenizer = self.backbone(config)
        writer: Writer
        if config.profile.writer == "endpoint":
            writer = EndpointWriter(config.profile)
        else:
            name = identity(config, "backbone") + stamp(config.backbone)
            writer = BackboneWriter(model, tokenizer, name, prompt, config.profile.max_new_tokens, config.generate)
        peers = None
        if arm.method.compares:
            made, cache = self.prepared(config), self.cache(config)
            vectors = {
                category: cache.vectors(corpus, made.pool[category]) for category, corpus in made.corpora.items()
            }
            peers = Peers(made.corpora, vectors, made.pool)
        return Writing(Kept(writer, Path(config.cache)), config.profile.instructions, peers)

    def writer(self, arm: Arm, module: LitDEP, **overrides: Any) -> Generate:
        """The arm's generator: transformers', or vLLM's where the configuration says so."""
        _, tokenizer = self.backbone(arm.config)
        settings = replace(arm.config.generate, seed=arm.seed, **overrides)
        if settings.engine == "vllm":
            from dep.model.vllm_engine import VLLM

            return VLLM(settings, files(arm.config.backbone), module.backbone, tokenizer, module.soft_prompt)
        return Generate(settings, module.backbone, tokenizer, module.soft_prompt)
