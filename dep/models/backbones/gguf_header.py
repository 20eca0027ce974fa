"""Checks that a GGUF file is whole, from its header: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.

The package gguf trusts the lengths in a header; one wrong byte there can make it loop for hours.
"""

from __future__ import annotations

import mmap
import struct
from math import prod
from pathlib import Path

_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a value by its type."""
_TEXT, _ARRAY = 8, 9
_NUMBERS_A_BYTE = 8
"""The smallest types of weights take more than a bit each."""


def check_whole(path: Path) -> None:
    """Walk through the header of a GGUF file, and see that its tensors begin inside the file.

    Raises:
        ValueError: the file does not begin as a GGUF file, or ends before something that its header promises.
    """
    size = path.stat().st_size
    if size < 24:
        raise ValueError(f"{size} bytes")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:4] != b"GGUF":
            raise ValueError("the file does not begin with GGUF")
        _walk(data)


def _walk(data: mmap.mmap) -> None:
    version, tensors, settings = struct.unpack_from("<IQQ", data, 4)
    if version not in (2, 3):
        raise ValueError(f"version {version} of the format")
    at = 24
    for _ in range(settings):
        at = _text(data, at)
        at = _value(data, at + 4, _number(data, at, "<I"))
    for _ in range(tensors):
        at = _text(data, at)
        dimensions = _number(data, at, "<I")
        at = _inside(data, at + 4 + 8 * dimensions + 12)
        shape = struct.unpack_from(f"<{dimensions}Q", data, at - 12 - 8 * dimensions)
        offset = _number(data, at - 8, "<Q")
        _inside(data, offset)
        if prod(shape) > _NUMBERS_A_BYTE * len(data):
            raise ValueError(f"a tensor of {prod(shape):,} numbers in a file of {len(data):,} bytes")


def _value(data: mmap.mmap, at: int, kind: int) -> int:
    """Where the value that begins at `at` ends."""
    if kind in _WIDTHS:
        return _inside(data, at + _WIDTHS[kind])
    if kind == _TEXT:
        return _text(data, at)
    if kind != _ARRAY:
        raise ValueError(f"a setting of the unknown type {kind}")
    inner, count = _number(data, at, "<I"), _number(data, at + 4, "<Q")
    at += 12
    if inner in _WIDTHS:
        return _inside(data, at + count * _WIDTHS[inner])
    for _ in range(count):
        at = _value(data, at, inner)
    return at


def _text(data: mmap.mmap, at: int) -> int:
    return _inside(data, at + 8 + _number(data, at, "<Q"))


def _number(data: mmap.mmap, at: int, form: str) -> int:
    _inside(data, at + struct.calcsize(form))
    number: int = struct.unpack_from(form, data, at)[0]
    return number


def _inside(data: mmap.mmap, at: int) -> int:
    if at > len(data):
        raise ValueError(f"it ends after {len(data):,} bytes; its header promises more")
    return at
