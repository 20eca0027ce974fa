"""Identifies a backbone: by a digest of its files before it is loaded, by a fingerprint of its weights afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import PreTrainedModel

from dep.models.backbones.load import files
from dep.models.settings import BackboneConfig
from dep.utils.hashing import sequence_digest

_SAMPLE = 256
"""How many values of each tensor enter the fingerprint."""


def stamp(config: BackboneConfig, file_digest: Callable[[Path], str]) -> str:
    """Return a SHA-256 of the names and contents of a backbone's files, without loading the backbone.

    The files are those in the backbone's folder, not in folders below it, that end in .json, .safetensors, .model or
    .txt. For a model on the hub, return its name.

    Args:
        config: the settings that name the backbone.
        file_digest: returns the SHA-256 of a file's content.
    """
    folder = Path(files(config))
    if not folder.is_dir():
        return config.name_or_path
    kinds = (".json", ".safetensors", ".model", ".txt")
    paths = sorted(path for path in folder.iterdir() if path.suffix in kinds)
    return sequence_digest(f"{path.name} {file_digest(path)}" for path in paths)


def fingerprint(model: PreTrainedModel) -> str:
    """Return a SHA-256 of all weights: of their names, their shapes and an evenly spaced sample of their values.

    This takes seconds even for a large model. The sample is rounded to bfloat16 first, so that float32 and bfloat16
    versions of a model have the same fingerprint. A quantized version has another fingerprint.
    """
    digest = hashlib.sha256()
    for name, weight in sorted(model.named_parameters(), key=lambda pair: pair[0]):
        flat = getattr(weight, "qdata", weight).detach().reshape(-1)  # torchao stores numbers and scale separately
        sample = flat[:: max(1, flat.numel() // _SAMPLE)]
        if sample.is_floating_point():
            sample = sample.to(torch.bfloat16).view(torch.int16)
        digest.update(f"{name}{tuple(weight.shape)}".encode())
        digest.update(sample.cpu().numpy().tobytes())
    return digest.hexdigest()
