"""Named tensors by key, in memory and on disk, each up to a limit.

    <folder>/<2 letters>/<key>.safetensors

Files are renamed into place when they are complete. A damaged file counts as absent. When the folder reaches its limit,
files that this process has not used are deleted, the oldest first; if that is not enough, nothing more is written.
"""

from __future__ import annotations

import logging
import os
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from dep.utils.atomic_io import replacing

_log = logging.getLogger(__name__)


class TensorFiles:
    """Keeps what can be computed again.

    Args:
        folder: where files are kept.
        limit: largest size of the folder in bytes; with 0, tensors are kept in memory alone.
        in_memory: bytes of tensors that stay in memory; those used least recently leave it.
        full: what to say when the folder is full, after its name.
    """

    def __init__(self, folder: Path, limit: float, in_memory: int, full: str) -> None:
        self.folder, self.limit, self.in_memory, self.full = folder, limit, in_memory, full
        self._memory: OrderedDict[str, dict[str, Tensor]] = OrderedDict()
        self._bytes = 0
        self._on_disk: int | None = None
        self._opened = time.time()
        self._is_full = False

    def get(self, key: str) -> dict[str, Tensor] | None:
        """Return what was kept under a key; None if it is absent, damaged, or deleted by another process."""
        if key in self._memory:
            self._memory.move_to_end(key)
            return self._memory[key]
        if not self.limit:
            return None
        try:
            found = load_file(self._path(key))
            os.utime(self._path(key))
        except (OSError, SafetensorError):
            return None
        return self._remember(key, found)

    def put(self, key: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Keep tensors under a key, and return them."""
        if self._makes_room(_size(tensors)):
            with replacing(self._path(key)) as temporary:
                save_file({name: tensor.cpu() for name, tensor in tensors.items()}, temporary)
        return self._remember(key, tensors)

    def held(self) -> list[str]:
        """Return the keys of what is in memory."""
        return list(self._memory)

    def drop(self, key: str) -> None:
        """Take what is under a key out of memory; its file stays."""
        self._bytes -= _size(self._memory.pop(key))

    def _remember(self, key: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        if key in self._memory:
            self.drop(key)
        self._memory[key] = tensors
        self._bytes += _size(tensors)
        while self._bytes > self.in_memory:
            self.drop(next(iter(self._memory)))
        return tensors

    def _makes_room(self, size: int) -> bool:
        """Whether a file of this size may be written; deletes files of earlier runs if need be."""
        if self._is_full or not self.limit:
            return False
        if self._on_disk is None or self._on_disk + size > self.limit:
            files = sorted(
                (stat.st_mtime, stat.st_size, path)
                for path in self.folder.glob("*/*.safetensors")
                if (stat := _stat(path)) is not None
            )
            self._on_disk = sum(bytes_ for _, bytes_, _ in files)
            for used, bytes_, path in files:
                if self._on_disk + size <= self.limit or used >= self._opened:
                    break
                path.unlink(missing_ok=True)
                self._on_disk -= bytes_
        if self._on_disk + size > self.limit:
            self._is_full = True
            _log.warning("%s has reached backbone.prefix_gb=%g: %s", self.folder, self.limit / 1e9, self.full)
            return False
        self._on_disk += size
        return True

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"


def _size(tensors: Mapping[str, Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
