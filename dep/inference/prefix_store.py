"""Keys and values of prompts' beginnings on disk, by content, shared by epochs, seeds, arms and processes.

    <folder>/<2 letters>/<digest>.safetensors    a segment: k0, v0, k1, v1, … of each layer, [H, T, d]

The folder belongs to one backbone in one dtype. The digest hashes the token ids from the beginning of the prompt to the
end of the segment, and where the segment begins. Files are renamed into place when they are complete. A damaged file is
computed again. When the folder reaches its limit, files that this process has not used are deleted, the oldest first;
if that is not enough, further segments are computed each time they are needed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from dep.inference.capabilities import can_keep
from dep.inference.kept_prefixes import Segment, extend
from dep.types import Batch
from dep.utils.atomic_io import replacing

_IN_MEMORY = 256 << 20
"""Bytes of segments that stay in memory: those that many prompts share are then not read again."""
_ROWS = 8
"""Beginnings that are computed together."""
_log = logging.getLogger(__name__)


class PrefixStore:
    """Kept beginnings of one backbone.

    Args:
        folder: of this backbone and dtype.
        limit: largest size of the folder in bytes; with 0, beginnings are kept in memory alone.
        half: whether float32 is stored in half precision: half the size, and results that differ in the fourth digit.
    """

    def __init__(self, folder: Path, limit: float, half: bool = False) -> None:
        self.folder, self.limit, self.half = folder, limit, half
        self._memory: OrderedDict[str, Segment] = OrderedDict()
        self._in_memory = 0
        self._size: int | None = None
        self._opened = time.time()
        self._full = False

    def of_batch(self, model: PreTrainedModel, batch: Batch) -> list[list[Segment]] | None:
        """Return the kept beginnings of a batch; None if a row has no cut or the model cannot continue from them."""
        cut = bool(batch.cuts) and all(batch.cuts)
        return self.prefixes(model, batch) if cut and can_keep(model) else None

    def prefixes(self, model: PreTrainedModel, batch: Batch) -> list[list[Segment]]:
        """Return the kept beginning of each row of a batch; segments that are missing are computed and stored.

        Args:
            model: the backbone, which supports kept prefixes (`capabilities`).
            batch: padded on either side, with cuts.
        """
        rows = [ids[mask.bool()].cpu().numpy() for ids, mask in zip(batch.ids, batch.attention_mask, strict=True)]
        kept: list[list[Segment]] = [[] for _ in rows]
        for level in range(max(map(len, batch.cuts), default=0)):
            spans = {
                row: (cuts[level - 1] if level else 0, cuts[level])
                for row, cuts in enumerate(batch.cuts)
                if level < len(cuts)
            }
            keys = {row: _digest(rows[row], *span) for row, span in spans.items()}
            example = {key: row for row, key in keys.items()}
            segments = {key: stored for key in example if (stored := self._get(key)) is not None}
            missing = [key for key in example if key not in segments]
            missing.sort(key=lambda key: spans[example[key]][1])
            for start in range(0, len(missing), _ROWS):
                some = missing[start : start + _ROWS]
                embeds = [_embeds(model, rows[example[key]], spans[example[key]]) for key in some]
                computed = extend(model, [kept[example[key]] for key in some], embeds)
                segments |= {key: self._put(key, segment) for key, segment in zip(some, computed, strict=True)}
            for row, key in keys.items():
                kept[row].append(segments[key])
        return kept

    def forget(self) -> None:
        """Drop the beginnings in memory; files stay."""
        self._memory.clear()
        self._in_memory = 0

    def _get(self, key: str) -> Segment | None:
        if key in self._memory:
            self._memory.move_to_end(key)
            return self._memory[key]
        if not self.limit:
            return None
        path = self._path(key)
        try:
            with safe_open(path, framework="pt") as file:
                layers = len(file.keys()) // 2
                segment = Segment(
                    [file.get_tensor(f"k{at}") for at in range(layers)],
                    [file.get_tensor(f"v{at}") for at in range(layers)],
                )
            os.utime(path)
        except (OSError, SafetensorError):  # absent, deleted by another process, or damaged
            return None
        return self._remember(key, segment)

    def _put(self, key: str, segment: Segment) -> Segment:
        """Store a segment; the result is what a later read returns."""
        if self.half:
            segment = Segment([_halved(t) for t in segment.keys], [_halved(t) for t in segment.values])
        if self._makes_room(segment.nbytes):
            tensors = {f"k{at}": tensor.cpu() for at, tensor in enumerate(segment.keys)}
            tensors |= {f"v{at}": tensor.cpu() for at, tensor in enumerate(segment.values)}
            with replacing(self._path(key)) as temporary:
                save_file(tensors, temporary)
        return self._remember(key, segment)

    def _remember(self, key: str, segment: Segment) -> Segment:
        self._memory[key] = segment
        self._in_memory += segment.nbytes
        while self._in_memory > _IN_MEMORY and len(self._memory) > 1:
            _, oldest = self._memory.popitem(last=False)
            self._in_memory -= oldest.nbytes
        return segment

    def _makes_room(self, size: int) -> bool:
        """Whether a file of this size may be written; deletes files of earlier runs if need be."""
        if self._full or not self.limit:
            return False
        if self._size is None or self._size + size > self.limit:
            files = sorted(
                (stat.st_mtime, stat.st_size, path)
                for path in self.folder.glob("*/*.safetensors")
                if (stat := _stat(path)) is not None
            )
            self._size = sum(bytes_ for _, bytes_, _ in files)
            for used, bytes_, path in files:
                if self._size + size <= self.limit or used >= self._opened:
                    break
                path.unlink(missing_ok=True)
                self._size -= bytes_
        if self._size + size > self.limit:
            self._full = True
            _log.warning(
                "%s has reached backbone.prefix_gb=%g: further beginnings of prompts are computed each time they are "
                "needed; raise the limit for more speed",
                self.folder, self.limit / 1e9,
            )  # fmt: skip
            return False
        self._size += size
        return True

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"


def _digest(ids: np.ndarray, begin: int, end: int) -> str:
    return hashlib.sha256(f"{begin} ".encode() + ids[:end].astype("<i8").tobytes()).hexdigest()[:32]


def _embeds(model: PreTrainedModel, ids: np.ndarray, span: tuple[int, int]) -> Tensor:
    embed: nn.Module = model.get_input_embeddings()
    embeds: Tensor = embed(torch.from_numpy(ids[slice(*span)].astype("int64")).to(model.device)).detach()
    return embeds


def _halved(tensor: Tensor) -> Tensor:
    """float32 as float16, or as bfloat16 where a number is too large for float16."""
    if tensor.dtype != torch.float32:
        return tensor
    half = tensor.half()
    return half if bool(half.isfinite().all()) else tensor.bfloat16()


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
