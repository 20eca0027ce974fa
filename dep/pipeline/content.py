"""Computes fingerprints of what a configuration only names: the LLM, the embedder, the retriever and the metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from dep.config.schema import RunConfig, build, identity
from dep.data.dataset_store import load_dataset
from dep.data.embedders import Embedder
from dep.data.embedders.fitting import fit_once, fittable_parts
from dep.data.prompts.chat_frame import ChatFrame, chat_frame
from dep.data.prompts.settings import PromptConfig
from dep.data.prompts.template import shown_branches, system_text
from dep.data.protocol import ReviewDataset
from dep.data.training_population import training_texts
from dep.evaluation.metrics import build_metrics
from dep.models.backbones.fingerprint import stamp
from dep.models.backbones.load import files
from dep.types import Branch
from dep.utils.digest_memo import memoized_digest
from dep.utils.errors import DepError
from dep.utils.fields import numeric
from dep.utils.hashing import json_digest

_EMBEDDERS: dict[str, str] = {}
_METRICS: dict[str, dict[str, str]] = {}


def backbone_fingerprint(config: RunConfig) -> str:
    """Return the SHA-256 of the backbone's files, or the name of a backbone that is on a hub."""
    return stamp(config.backbone, lambda path: memoized_digest(path, Path(config.cache)))


def backbone_identity(config: RunConfig) -> dict[str, Any]:
    """Return the backbone's settings that affect results, with a digest of its files and the measured format."""
    settings: dict[str, Any] = numeric(config.backbone)
    if config.backbone.dtype == "fastest":
        from dep.models.backbones.number_format import fastest

        settings["dtype"] = fastest()
    return settings | {"name_or_path": backbone_fingerprint(config)}


def ready_embedder(config: RunConfig, dataset: Callable[[], ReviewDataset] | None = None) -> Embedder:
    """Build the embedder; what needs fitting is loaded from the cache, or fitted to the training population first.

    Args:
        config: the configuration of a run or an arm.
        dataset: returns the reviews that the configuration's protocol gives; without it they are loaded.

    Raises:
        OSError, DepError: the embedder has to be fitted, and the reviews are not on this machine or do not do.
    """
    embedder: Embedder = build(config, "embedder")
    if all(part.fitted for part in fittable_parts(embedder)):
        return embedder
    source, cache = build(config, "source"), Path(config.cache)
    protocol = replace(config.protocol, val_examples=None, test_examples=None)  # which decide no training example

    def texts() -> list[str]:
        reviews = dataset() if dataset else load_dataset(cache, source, config.protocol)[0]
        return training_texts(reviews.corpora, reviews.examples)

    fit_once(embedder, cache / "embedders", json_digest([source.fingerprint(), numeric(protocol)]), texts)
    return embedder


def embedder_fingerprint(config: RunConfig) -> str:
    """Return the embedder's fingerprint, or a hash of its settings if its files are not on this machine.

    An embedder that is fitted has the fingerprint of its weights, so that it is fitted here if the cache lacks them.
    """
    key = identity(config, "embedder", "source", "protocol")
    if key not in _EMBEDDERS:
        try:
            _EMBEDDERS[key] = ready_embedder(config).fingerprint()
        except (OSError, ValueError, DepError):  # `--plan` works without the files; the embed stage reports them
            return identity(config, "embedder")
    return _EMBEDDERS[key]


def retriever_fingerprint(config: RunConfig) -> str:
    """Return the retriever's fingerprint; empty if it has none, or if its files are not on this machine."""
    fingerprint = getattr(build(config, "retriever"), "fingerprint", str)
    try:
        return str(fingerprint())
    except (OSError, DepError):  # `--plan` works without the files; the stage that reads them reports them
        return ""


def metric_signatures(config: RunConfig) -> dict[str, str]:
    """Return the signature of each metric by name; signatures include the versions of libraries and of WordNet."""
    key = identity(config, "evaluate.metrics", "evaluate.texts")
    if key not in _METRICS:
        metrics = build_metrics(config.evaluate.metrics, config.evaluate.texts)
        _METRICS[key] = {name: metric.signature for name, metric in metrics.items()}
    return _METRICS[key]


def rendered_frame(config: RunConfig, prompt: PromptConfig, branches: Sequence[Branch]) -> ChatFrame | None:
    """Render the chat template of an arm's prompts by the backbone's tokenizer.

    Args:
        config: the configuration that names the backbone.
        prompt: the settings of the arm's prompt.
        branches: the kinds of the arm's soft tokens.

    Returns:
        The rendered template as of now (it may hold the date), or None if the tokenizer is not on this machine. What
        loads the backbone later reports this.

    Raises:
        DepError: the chat template cannot be used.
    """
    name = files(config.backbone)
    times = tuple(path.stat().st_mtime_ns for path in sorted(Path(name).glob("*.j*")))
    try:
        tokenizer = _tokenizer(name, config.backbone.allow_download, times)
    except (OSError, ValueError):
        return None
    return chat_frame(system_text(prompt, shown_branches(prompt, branches)), prompt, tokenizer)


@lru_cache
def _tokenizer(name: str, allow_download: bool, times: tuple[int, ...]) -> Any:
    """Load the tokenizer of a backbone; `times` are the times of its files, so that changed files are loaded again."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(name, local_files_only=not allow_download, trust_remote_code=False)
