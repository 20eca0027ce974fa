"""Loads what the arms of a run share, and only once: reviews, vectors, backbones and metrics.

An arm is one system of a comparison with its settings (`dep.pipeline.arm`).
"""

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
from dep.inference.prefix_store import PrefixStore
from dep.inference.target_states import TargetStates
from dep.inference.tensor_files import TensorFiles
from dep.models.backbones.load import load as load_backbone
from dep.models.backbones.load import load_tokenizer
from dep.pipeline.arm import Arm
from dep.pipeline.content import backbone_identity, ready_embedder
from dep.types import Branch
from dep.utils.hashing import json_digest

_NEAREST_BYTES = 1 << 30
"""Bytes of what training examples are similar to; what was used least recently is dropped."""


class Resources:
    """Holds what the arms of a run share; each part is loaded when it is first used.

    Args:
        config: the run's configuration.
        console: the console on which stages print.
    """

    def __init__(self, config: RunConfig, console: Console) -> None:
        self.config, self.console = config, console
        self.source = build(config, "source")
        self._prepared: dict[str, ReviewDataset] = {}
        self._caches: dict[str, VectorStore] = {}
        self._backbones: dict[str, Any] = {}
        self._tokenizers: dict[str, PreTrainedTokenizerBase] = {}
        self._builders: dict[str, PromptBuilder] = {}
        self._prefixes: dict[str, PrefixStore] = {}
        self._states: dict[str, TargetStates] = {}
        self._metrics: dict[str, dict[str, Metric]] = {}

    @cached_property
    def fingerprint(self) -> str:
        """The fingerprint of the reviews."""
        return str(self.source.fingerprint())

    @cached_property
    def device(self) -> torch.device:
        """The device of generation and scoring: CUDA if there is one."""
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def arms(self, configs: Mapping[str, RunConfig], seeds: Iterable[int]) -> list[Arm]:
        """Return every arm at every seed."""
        return [Arm(name, config, seed, self.fingerprint) for name, config in configs.items() for seed in seeds]

    def prepared(self, config: RunConfig) -> ReviewDataset:
        """Return the reviews, filtered and split by the configuration's protocol."""
        key = identity(config, "protocol")
        if key not in self._prepared:
            self._prepared[key], self.prepared_folder = load_dataset(Path(config.cache), self.source, config.protocol)
        return self._prepared[key]

    def cache(self, config: RunConfig) -> VectorStore:
        """Return the vector store for the configuration's embedder and its settings of differences."""
        key = identity(config, "embedder", "difference", "protocol")
        if key not in self._caches:
            embedder = ready_embedder(config, lambda: self.prepared(config))
            self._caches[key] = VectorStore(Path(config.cache), embedder, config.difference)
        return self._caches[key]

    def backbone(self, config: RunConfig) -> Any:
        """Return the model and the tokenizer of the configuration's backbone."""
        key = identity(config, "backbone")
        if key not in self._backbones:
            model, tokenizer = load_backbone(config.backbone)
            refuse_unusable(model, config.backbone.name_or_path)
            self._backbones[key] = model, tokenizer
        return self._backbones[key]

    def prefixes(self, config: RunConfig) -> PrefixStore | None:
        """Return the store of kept beginnings of prompts for the configuration's backbone; None if none are kept."""
        backbone = config.backbone
        if not backbone.keep_prefixes:
            return None
        key = json_digest([backbone_identity(config)])
        if key not in self._prefixes:
            folder = Path(config.cache) / "prefixes" / key[:16]
            half = backbone.prefix_precision == "half"
            self._prefixes[key] = PrefixStore(folder, backbone.prefix_gb * 1e9, half)
        return self._prefixes[key]

    def target_states(self, config: RunConfig) -> TargetStates:
        """Return the store of the backbone's hidden states at the positions that predict reviews."""
        key = json_digest([backbone_identity(config)])
        if key not in self._states:
            model, _ = self.backbone(config)
            folder = Path(config.cache) / "target_states" / key[:16]
            self._states[key] = TargetStates(model, folder, config.backbone.prefix_gb * 1e9)
        return self._states[key]

    @cached_property
    def nearest(self) -> TensorFiles:
        """What training examples are similar to in others' reviews, in memory alone."""
        return TensorFiles(Path(), 0, _NEAREST_BYTES, "")

    def tokenizer(self, config: RunConfig) -> PreTrainedTokenizerBase:
        """Return the tokenizer of the configuration's backbone, without loading weights."""
        key = identity(config, "backbone")
        if key not in self._tokenizers:
            loaded = self._backbones.get(key)
            self._tokenizers[key] = loaded[1] if loaded else load_tokenizer(config.backbone)
        return self._tokenizers[key]

    def builder(
        self, config: RunConfig, prompt: PromptConfig, branches: Sequence[Branch], frame: ChatFrame | None = None
    ) -> PromptBuilder:
        """Return a prompt builder for a backbone.

        All builders of a backbone share one memo of the token ids of texts, so that a text is encoded once.

        Args:
            config: names the backbone.
            prompt: what a prompt holds.
            branches: the kinds of soft token in the prompt (`dep.types.Branch`).
            frame: the chat template as rendered around the user's message; None renders it when it is first needed.
        """
        keeps = config.backbone.keep_prefixes
        built = PromptBuilder(self.tokenizer(config), prompt, branches, frame, keeps, config.projector.tokens)
        first = self._builders.setdefault(identity(config, "backbone"), built)
        if first is not built:
            built.share_memo(first)
        return built

    def metrics(self, config: RunConfig) -> dict[str, Metric]:
        """Return the metrics by column; metrics of texts are included only if texts are generated."""
        key = identity(config, "evaluate.metrics")
        if key not in self._metrics:
            self._metrics[key] = build_metrics(config.evaluate.metrics, config.evaluate.texts)
        return self._metrics[key]
