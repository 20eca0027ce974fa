"""Content that the arms of a run share, loaded once: reviews, vectors, backbones and metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from transformers import PreTrainedTokenizerBase

from dep.config.schema import RunConfig, build, identity
from dep.data.dataset_store import load_dataset
from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.chat_frame import ChatFrame
from dep.data.prompts.settings import PromptConfig
from dep.data.protocol import ReviewDataset
from dep.data.vectors.store import VectorStore
from dep.evaluation.metrics import Metric, build_metrics
from dep.inference.capabilities import refuse_unusable
from dep.models.backbones.load import load as load_backbone
from dep.models.backbones.load import load_tokenizer
from dep.pipeline.arm import Arm
from dep.types import Branch


class Resources:
    """Content that the arms of a run share; each part is loaded on first use and cached.

    Args:
        config: the run's configuration.
        console: console for the stages' output.
    """

    def __init__(self, config: RunConfig, console: Console) -> None:
        self.config, self.console = config, console
        self.source = build(config, "source")
        self._prepared: dict[str, ReviewDataset] = {}
        self._caches: dict[str, VectorStore] = {}
        self._backbones: dict[str, Any] = {}
        self._tokenizers: dict[str, PreTrainedTokenizerBase] = {}
        self._builders: dict[str, PromptBuilder] = {}
        self._metrics: dict[str, dict[str, Metric]] = {}

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of the reviews."""
        return str(self.source.fingerprint())

    @cached_property
    def device(self) -> torch.device:
        """Device of generation and scoring: CUDA where available."""
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def arms(self, configs: Mapping[str, RunConfig], seeds: Iterable[int]) -> list[Arm]:
        """Build every arm at every seed."""
        return [Arm(name, config, seed, self.fingerprint) for name, config in configs.items() for seed in seeds]

    def prepared(self, config: RunConfig) -> ReviewDataset:
        """Filtered reviews and their examples, under the configuration's protocol."""
        key = identity(config, "protocol")
        if key not in self._prepared:
            self._prepared[key], self.prepared_folder = load_dataset(Path(config.cache), self.source, config.protocol)
        return self._prepared[key]

    def cache(self, config: RunConfig) -> VectorStore:
        """The vector store for the configuration's embedder and difference settings."""
        key = identity(config, "embedder", "difference")
        if key not in self._caches:
            self._caches[key] = VectorStore(Path(config.cache), build(config, "embedder"), config.difference)
        return self._caches[key]

    def backbone(self, config: RunConfig) -> Any:
        """(model, tokenizer) of the configuration's backbone."""
        key = identity(config, "backbone")
        if key not in self._backbones:
            model, tokenizer = load_backbone(config.backbone)
            refuse_unusable(model, config.backbone.name_or_path)
            self._backbones[key] = model, tokenizer
        return self._backbones[key]

    def tokenizer(self, config: RunConfig) -> PreTrainedTokenizerBase:
        """The tokenizer of a backbone, whose weights need not be loaded."""
        key = identity(config, "backbone")
        if key not in self._tokenizers:
            loaded = self._backbones.get(key)
            self._tokenizers[key] = loaded[1] if loaded else load_tokenizer(config.backbone)
        return self._tokenizers[key]

    def builder(
        self, config: RunConfig, prompt: PromptConfig, branches: Sequence[Branch], frame: ChatFrame | None = None
    ) -> PromptBuilder:
        """A prompt builder for a backbone's tokenizer; all builders of a backbone share their memo of texts.

        Args:
            config: names the backbone.
            prompt: what a prompt holds.
            branches: the soft tokens of a past review.
            frame: the chat frame, if it was rendered before.
        """
        built = PromptBuilder(self.tokenizer(config), prompt, branches, frame)
        first = self._builders.setdefault(identity(config, "backbone"), built)
        if first is not built:
            built.share_memo(first)
        return built

    def metrics(self, config: RunConfig) -> dict[str, Metric]:
        """Metrics by column; metrics of texts are included only where texts are generated."""
        key = identity(config, "evaluate.metrics")
        if key not in self._metrics:
            self._metrics[key] = build_metrics(config.evaluate.metrics, config.evaluate.texts)
        return self._metrics[key]
