"""SHA-256 of texts, JSON values and files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def text_digest(text: str) -> str:
    """SHA-256 of a text in UTF-8, as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def json_digest(value: Any) -> str:
    """SHA-256 of a value as JSON with sorted keys; what JSON lacks (paths, dates) is hashed as `str(value)`."""
    return text_digest(json.dumps(value, sort_keys=True, default=str))


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, read in blocks.

    Raises:
        FileNotFoundError: the file does not exist.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sequence_digest(texts: Iterable[str], salt: str = "") -> str:
    """SHA-256 of a sequence of texts. Each text is hashed with its length, so that no two sequences collide.

    Args:
        texts: the texts in order; lone surrogates are allowed.
        salt: hashed first.

    Returns:
        64 hexadecimal digits.
    """
    total = hashlib.sha256(salt.encode())
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        total.update(len(data).to_bytes(8, "little") + data)
    return total.hexdigest()


def short_digest(text: str) -> bytes:
    """The first 16 bytes of a text's SHA-256; lone surrogates are allowed."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]


def seed_from(text: str, size: int) -> int:
    """A seed for a random generator: the first `size` bytes of the text's SHA-256, big-endian."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:size])
