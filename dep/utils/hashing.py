"""Computes SHA-256 digests of texts, JSON values and files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def text_digest(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def json_digest(value: Any) -> str:
    """Return the SHA-256 of a value as JSON with sorted keys; values that JSON lacks, such as paths, become texts."""
    return text_digest(json.dumps(value, sort_keys=True, default=str))


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, read in blocks.

    Raises:
        FileNotFoundError: the file does not exist.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sequence_digest(texts: Iterable[str], salt: str = "") -> str:
    """Return the SHA-256 of a sequence of texts, each hashed with its length, so that different sequences differ.

    Args:
        texts: the texts in order; lone surrogates are allowed.
        salt: a text that is hashed first.

    Returns:
        64 hexadecimal digits.
    """
    total = hashlib.sha256(salt.encode())
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        total.update(len(data).to_bytes(8, "little") + data)
    return total.hexdigest()


def short_digest(text: str) -> bytes:
    """Return the first 16 bytes of a text's SHA-256; lone surrogates are allowed."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]


def seed_from(text: str, size: int) -> int:
    """Return a seed for a random generator: the first `size` bytes of the text's SHA-256, as a big-endian number."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:size])
