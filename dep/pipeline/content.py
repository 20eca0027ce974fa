"""Fingerprints of content that a configuration only names: LLM, embedder, retriever and metrics."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from dep.config.schema import RunConfig, build, identity
from dep.evaluation.metrics import build_metrics
from dep.models.backbones.fingerprint import stamp
from dep.utils import hashing
from dep.utils.atomic_io import read_json, write_json
from dep.utils.errors import DepError

_EMBEDDERS: dict[str, str] = {}
_METRICS: dict[str, dict[str, str]] = {}


def backbone_fingerprint(config: RunConfig) -> str:
    """Sha256 of the backbone's files; the name itself for a backbone that is named on a model hub."""
    return stamp(config.backbone, lambda path: file_digest(path, Path(config.cache)))


def embedder_fingerprint(config: RunConfig) -> str:
    """The embedder's fingerprint; the hash of its settings where its files are not on this machine."""
    key = identity(config, "embedder")
    if key not in _EMBEDDERS:
        try:
            _EMBEDDERS[key] = str(build(config, "embedder").fingerprint())
        except (OSError, ValueError, DepError):  # `--plan` works without the files; the embed stage reports them
            return key
    return _EMBEDDERS[key]


def retriever_fingerprint(config: RunConfig) -> str:
    """The retriever's own fingerprint; empty if it has none, or if its files are not on this machine."""
    fingerprint = getattr(build(config, "retriever"), "fingerprint", str)
    try:
        return str(fingerprint())
    except (OSError, DepError):  # `--plan` works without the files; the stage that reads them reports them
        return ""


def metric_signatures(config: RunConfig) -> dict[str, str]:
    """Signature of each metric by name, including the versions of libraries and of WordNet."""
    key = identity(config, "evaluate.metrics", "evaluate.texts")
    if key not in _METRICS:
        metrics = build_metrics(config.evaluate.metrics, config.evaluate.texts)
        _METRICS[key] = {name: metric.signature for name, metric in metrics.items()}
    return _METRICS[key]


def file_digest(path: Path, cache: Path) -> str:
    """Compute the sha256 of a file's content.

    The digest is cached in `digests.json` under path, size and modification time, so that a file is read once.

    Args:
        path: the file.
        cache: folder of `digests.json`.
    """
    path = path.resolve()
    state = path.stat()
    return _file_digest(path, state.st_size, state.st_mtime_ns, cache.resolve())


@lru_cache
def _file_digest(path: Path, size: int, mtime_ns: int, cache: Path) -> str:
    memo = cache / "digests.json"
    try:
        digests = read_json(memo)
    except ValueError:  # a damaged file: compute the digests again
        digests = {}
    key = f"{path} {size} {mtime_ns}"
    if key not in digests:
        digests[key] = hashing.file_digest(path)
        write_json(memo, digests)
    return str(digests[key])
