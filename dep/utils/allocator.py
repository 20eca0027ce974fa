"""Makes the C library give freed memory back to the system."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

_M_MMAP_THRESHOLD = -3
"""glibc's name for the size from which a block is mapped on its own (malloc.h)."""
_LARGE = 16 << 20
"""Bytes. Logits of a review and larger blocks are above it, the activations of an LLM's layers below."""


def return_large_blocks() -> None:
    """Map blocks of 16 MB and more on their own, so that they are returned when they are freed; on glibc alone.

    After the first such block, glibc takes blocks of up to 32 MB from its heap. There, small tensors that are kept
    settle in the gaps between the logits of one review and the next, and the heap grows with every review: a run with
    long reviews reached 22 GB.
    """
    _call("mallopt", _M_MMAP_THRESHOLD, _LARGE)


def trim() -> None:
    """Give free pages of the heap back, also those between blocks that are in use; on glibc alone."""
    _call("malloc_trim", 0)


def _call(function: str, *numbers: int) -> None:
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            getattr(ctypes.CDLL("libc.so.6"), function)(*numbers)
