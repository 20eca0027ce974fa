"""Writes a safetensors file one tensor at a time, so that a model need not fit into memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from typing import BinaryIO

import torch
from torch import Tensor

_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


class SafetensorsWriter:
    """A safetensors file whose tensors are written in any order.

    Args:
        file: an empty file, open for writing.
        layout: shape and number format of every tensor by name.
    """

    def __init__(self, file: BinaryIO, layout: Mapping[str, tuple[tuple[int, ...], torch.dtype]]) -> None:
        self._file, self._layout = file, dict(layout)
        self._begins: dict[str, int] = {}
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        end = 0
        for name, (shape, dtype) in sorted(layout.items()):
            self._begins[name], begin = end, end
            end += prod(shape) * dtype.itemsize
            header[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [begin, end]}
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)  # readers map the numbers that follow, which must be aligned
        file.write(len(text).to_bytes(8, "little") + text)
        self._data = file.tell()
        file.truncate(self._data + end)
        self.missing = set(layout)
        """Names of the tensors that are not written yet."""

    def write(self, name: str, tensor: Tensor) -> None:
        """Write one tensor, rounded to its number format.

        Raises:
            ValueError: its shape is not that of the layout.
        """
        shape, dtype = self._layout[name]
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} has the shape {tuple(tensor.shape)}, not {shape}")
        self._file.seek(self._data + self._begins[name])
        self._file.write(memoryview(tensor.to(dtype).contiguous().view(-1).view(torch.uint8).numpy()))
        self.missing.discard(name)
