"""Reads and writes adapter files, which hold all tensors of the soft prompt and nothing of the frozen LLM.

`is_trainable` selects these tensors from the state dict of `PersonalizationModule`. Some of them are not trained: the
statistics by which vectors are standardised, and parameters that the adapter freezes, such as those of a user encoder.
A parameter is trained if `SoftPrompt.is_trained` accepts it too. An adapter file is a safetensors file; its metadata
holds the configuration that the adapter was trained with and the fingerprint of the backbone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from dep.utils.atomic_io import replacing
from dep.utils.errors import DepError, MissingFile

FORMAT = "dep-adapter/1"


def is_trainable(name: str) -> bool:
    """Return whether the tensor called `name` in `PersonalizationModule` belongs to the soft prompt and is saved.

    Not every saved tensor is trained; see `SoftPrompt.is_trained`.
    """
    return name.startswith("soft_prompt.")


def trainable_state(module: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a `PersonalizationModule` that are saved, by name; some of them are not trained."""
    return {name: value for name, value in module.state_dict().items() if is_trainable(name)}


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file atomically: write a temporary file and rename it."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        save_file(plain, temporary, dict(metadata or {}))


def is_intact(path: Path) -> bool:
    """Return whether a complete safetensors file exists at `path`."""
    try:
        with safe_open(path, framework="pt"):
            return True
    except (FileNotFoundError, SafetensorError):
        return False


def check_names(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str) -> None:
    """Check that loaded tensors have exactly the names and shapes of a model's tensors.

    Args:
        found: the loaded tensors by name.
        expected: the model's tensors by name.
        source: says where `found` comes from, for the error message.

    Raises:
        DepError: a tensor is missing, is unexpected or has another shape; the message names it.
    """
    missing, extra = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    shapes = [
        f"{name} (expected {tuple(expected[name].shape)}, found {tuple(found[name].shape)})"
        for name in sorted(set(expected) & set(found))
        if expected[name].shape != found[name].shape
    ]
    if missing or extra or shapes:
        raise DepError(
            f"{source} does not fit this soft prompt: missing {missing}, unexpected {extra}, "
            f"of another shape {shapes}; build it with the configuration that the weights were trained with"
        )


def check_fingerprint(found: str | None, expected: str, source: str) -> None:
    """Check that weights were trained on this backbone.

    Raises:
        DepError: the fingerprints of the two backbones differ; the message names both.
    """
    if found != expected:
        raise DepError(
            f"{source} was trained on another backbone: expected fingerprint {expected[:12]}, found "
            f"{(found or 'none')[:12]}; load the backbone (weights and quantization) that it was trained on"
        )


def write_adapter(path: Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any], fingerprint: str) -> None:
    """Write an adapter's tensors to a file whose metadata holds the configuration and the backbone's fingerprint."""
    # One metadata entry: safetensors writes several in an order that differs between processes.
    facts = {"names": sorted(tensors), "config": dict(config), "fingerprint": fingerprint}
    metadata = {FORMAT: json.dumps(facts, sort_keys=True)}
    write_tensors(path, tensors, metadata)


def read_adapter(path: Path) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """Read an adapter file that `write_adapter` wrote.

    Returns:
        The tensors by name, the configuration, and the backbone's fingerprint.

    Raises:
        MissingFile: there is no such file.
        DepError: the file is damaged or is not an adapter.
    """
    if not path.is_file():
        raise MissingFile(f"adapter {path}: expected a safetensors file, found none; train one or give its path")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except SafetensorError as error:
        raise DepError(
            f"adapter {path}: expected a safetensors file, found a damaged one ({error}); delete it and train again"
        ) from error
    if FORMAT not in metadata:
        raise DepError(f"adapter {path}: expected metadata {FORMAT!r}, found {sorted(metadata) or 'none'}")
    facts = json.loads(metadata[FORMAT])
    return tensors, facts["config"], facts["fingerprint"]
