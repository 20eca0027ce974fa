"""Reads and writes folders with a safetensors file and a manifest; writing the manifest makes a folder complete."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dep.utils.atomic_io import write_json
from dep.utils.errors import DepError
from dep.utils.locks import file_lock

FORMAT = 1
_DTYPE_NAMES = {torch.float32: "F32", torch.int64: "I64"}
"""The names of dtypes in a safetensors header."""

Shapes = Mapping[str, tuple[torch.dtype, list[int]]]


def load(folder: Path, name: str, key: str) -> dict[str, Tensor] | None:
    """Memory-map the tensors in `<name>.safetensors`.

    Args:
        folder: the folder.
        name: the file's name without its suffix.
        key: the hash of the content that the manifest must name.

    Returns:
        The tensors by name, or None if the folder has no manifest.

    Raises:
        DepError: the manifest or the file is damaged, or the key differs.
    """
    manifest, data = folder / "manifest.json", folder / f"{name}.safetensors"
    way_out = f"Delete {folder} and run again; its content is computed again"
    try:
        facts: Any = json.loads(manifest.read_text(encoding="utf-8"))
        stored = (facts["key"], facts["bytes"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise DepError(str(manifest), "a manifest with key and bytes", f"something else ({error})", way_out) from error
    size = data.stat().st_size if data.is_file() else None
    if stored != (key, size):
        raise DepError(
            str(manifest), f"key {key[:12]}... and {stored[1]} bytes of {data.name}",
            f"{str(stored[0])[:12]}... and {size} bytes: damaged, or computed from other reviews or another embedder",
            way_out,
        )  # fmt: skip
    try:
        with safe_open(data, "pt") as file:
            return {tensor: file.get_tensor(tensor) for tensor in file.keys()}  # noqa: SIM118  # not a dict
    except SafetensorError as error:
        raise DepError(str(data), "a safetensors file", f"something else ({error})", way_out) from error


def seal(folder: Path, name: str, key: str, tensors: Mapping[str, Tensor], facts: dict[str, Any]) -> dict[str, Tensor]:
    """Write the manifest, which makes the folder complete, and memory-map the tensors of the folder's file."""
    path = folder / f"{name}.safetensors"
    shapes = {tensor: list(value.shape) for tensor, value in tensors.items()}
    manifest = {"format": FORMAT, "key": key, "bytes": path.stat().st_size, "tensors": shapes} | facts
    write_json(folder / "manifest.json", manifest)
    loaded = load(folder, name, key)
    assert loaded is not None, "the manifest was just written"
    return loaded


def zeros_file(path: Path, key: str, shapes: Shapes) -> dict[str, Tensor]:
    """Create a safetensors file of zeros and return tensors whose changes are written to the file.

    The vectors of a large category can thus be written without being held in memory.

    Args:
        path: the file.
        key: a hash that is stored in the file's metadata.
        shapes: dtype and shape of each tensor.

    Returns:
        The tensors by name.
    """
    header: dict[str, Any] = {"__metadata__": {"key": key}}
    end = 0
    for name, (dtype, shape) in shapes.items():
        begin, end = end, end + math.prod(shape) * dtype.itemsize
        header[name] = {"dtype": _DTYPE_NAMES[dtype], "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    start = 8 + len(text)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(start + end)
    whole = torch.from_file(str(path), shared=True, size=start + end, dtype=torch.uint8)
    parts = {name: header[name]["data_offsets"] for name in shapes}
    return {
        name: whole[start + first : start + last].view(shapes[name][0]).view(shapes[name][1])
        for name, (first, last) in parts.items()
    }


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which one process at a time may fill; a waiting process prints the holder's id."""

    def report(owner: str) -> None:
        Console(stderr=True).print(f"waiting for process {owner}, which is filling {folder}", soft_wrap=True)

    with file_lock(folder / ".lock", report):
        yield
