"""Keys and values of prompts' beginnings on disk, by content, shared by epochs, seeds, arms and processes.

    <folder>/<2 letters>/<digest>.safetensors    a segment: k0, v0, k1, v1, … of each layer, [H, T, d]

The folder belongs to one backbone in one dtype. The digest hashes the token ids from the beginning of the prompt to the
end of the segment, and where the segment begins. A damaged file is computed again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from dep.inference.capabilities import can_keep
from dep.inference.kept_prefixes import Segment, extend
from dep.inference.tensor_files import TensorFiles
from dep.types import Batch

_IN_MEMORY = 256 << 20
"""Bytes of segments that stay in memory: those that many prompts share are then not read again."""
_FULL = "further beginnings of prompts are computed each time they are needed; raise the limit for more speed"
_ROWS = 8
"""Beginnings that are computed together."""


class PrefixStore:
    """Kept beginnings of one backbone.

    Args:
        folder: of this backbone and dtype.
        limit: largest size of the folder in bytes; with 0, beginnings are kept in memory alone.
        half: whether float32 is stored in half precision: half the size, and results that differ in the fourth digit.
    """

    def __init__(self, folder: Path, limit: float, half: bool = False) -> None:
        self.half = half
        self._files = TensorFiles(folder, limit, _IN_MEMORY, _FULL)

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
        for key in self._files.held():
            self._files.drop(key)

    def _get(self, key: str) -> Segment | None:
        found = self._files.get(key)
        return None if found is None else _segment(found)

    def _put(self, key: str, segment: Segment) -> Segment:
        """Store a segment; the result is what a later read returns."""
        tensors = {f"k{at}": tensor for at, tensor in enumerate(segment.keys)}
        tensors |= {f"v{at}": tensor for at, tensor in enumerate(segment.values)}
        return _segment(self._files.put(key, {n: _halved(t) for n, t in tensors.items()} if self.half else tensors))


def _segment(tensors: dict[str, Tensor]) -> Segment:
    layers = len(tensors) // 2
    return Segment([tensors[f"k{at}"] for at in range(layers)], [tensors[f"v{at}"] for at in range(layers)])


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
