"""Which backbone this is: a stamp of its files before it is loaded, a fingerprint of its weights after."""

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
"""Values of each tensor that enter the fingerprint."""


def stamp(config: BackboneConfig, file_digest: Callable[[Path], str]) -> str:
    """Sha256 over the names and contents of a backbone's files, without loading it.

    A name of the hub stands for itself.

    Args:
        config: which backbone.
        file_digest: gives the sha256 of a file's content.
    """
    folder = Path(files(config))
    if not folder.is_dir():
        return config.name_or_path
    kinds = (".json", ".safetensors", ".model", ".txt")
    paths = sorted(path for path in folder.iterdir() if path.suffix in kinds)
    return sequence_digest(f"{path.name} {file_digest(path)}" for path in paths)


def fingerprint(model: PreTrainedModel) -> str:
    """Sha256 over name, shape and an evenly spaced sample of every weight; seconds even for a large model.

    The sample is rounded to bfloat16 first, so that a model held in float32 and in bfloat16 is the same
    model. A quantized one is another model.
    """
    digest = hashlib.sha256()
    for name, weight in sorted(model.named_parameters(), key=lambda pair: pair[0]):
        flat = getattr(weight, "qdata", weight).detach().reshape(-1)  # torchao keeps a scale beside its numbers
        sample = flat[:: max(1, flat.numel() // _SAMPLE)]
        if sample.is_floating_point():
            sample = sample.to(torch.bfloat16).view(torch.int16)
        digest.update(f"{name}{tuple(weight.shape)}".encode())
        digest.update(sample.cpu().numpy().tobytes())
    return digest.hexdigest()
