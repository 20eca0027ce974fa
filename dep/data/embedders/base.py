"""What all embedders share: a model in a folder, its fingerprint, batches by length, vectors of unit length."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from dep.data.sources import files
from dep.utils.errors import DepError, MissingFile

if TYPE_CHECKING:
    from torch import Tensor

Dtype = Literal["float32", "bfloat16", "float16"]
Runtime = Literal["torch", "openvino", "openvino_int8"]
_WORD = re.compile(r"\w+|[^\w\s]")
_MODEL_FILES = {".json", ".safetensors", ".bin", ".pt", ".txt", ".model"}


class Embedder(Protocol):
    """Texts to vectors."""

    kind: str

    @property
    def name(self) -> str:
        """What a report calls it."""

    @property
    def dim(self) -> int:
        """E."""

    def fingerprint(self) -> str:
        """A SHA-256 of everything that the vectors depend on: weights, tokenizer, truncation, precision."""

    def encode(self, texts: Sequence[str]) -> Tensor:
        """[n, E] float32, L2-normalised, on the CPU."""


class ModelFolder:
    """A model in a folder, fetched from the hub where `model` is not one; a kind of embedder adds `_encode`."""

    kind: str
    runtime: Runtime = "torch"

    def __init__(
        self, model: str, max_tokens: int | None, batch_size: int, device: str, dtype: Dtype, allow_download: bool
    ) -> None:
        import torch

        if batch_size < 1:
            raise DepError(f"embedder batch_size: expected 1 or more, found {batch_size}")
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise DepError(f"embedder.device={device}: expected a CUDA device, found none; set embedder.device=cpu")
        self.model_name, self.max_tokens, self.batch_size = model, max_tokens, batch_size
        self.device = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        self.dtype, self.allow_download = dtype, allow_download

    @property
    def name(self) -> str:
        """What a report calls it: the kind and the model's own name."""
        return f"{self.kind}:{Path(self.model_name).name}"

    @property
    def dim(self) -> int:
        """E, by asking the model."""
        return self.encode(["dimension"]).shape[1]

    def fingerprint(self) -> str:
        """SHA-256 over the kind, truncation, precision and every file of the model."""
        return self._fingerprint

    def encode(self, texts: Sequence[str]) -> Tensor:
        """[n, E] float32, L2-normalised, on the CPU; sorted by length, so that a batch has little padding."""
        import torch
        from torch.nn.functional import normalize

        # words and signs come nearer to tokens than letters do: 2.5% more positions than by tokens, in place of 9%
        order = sorted(range(len(texts)), key=lambda at: len(_WORD.findall(texts[at])), reverse=True)
        if not order:
            return torch.zeros(0, self.dim)
        with torch.inference_mode():
            x_NE = normalize(self._encode([texts[at] for at in order]).float().cpu(), dim=1)
        out_NE = torch.empty_like(x_NE)
        out_NE[torch.tensor(order)] = x_NE
        return out_NE

    def _encode(self, texts: list[str]) -> Tensor:
        raise NotImplementedError

    @cached_property
    def _fingerprint(self) -> str:
        other = "" if self.runtime == "torch" else f"\0{self.runtime}"
        total = hashlib.sha256(f"{self.kind}\0{self.max_tokens}\0{self.dtype}{other}".encode())
        found = (p for p in self.folder.rglob("*") if p.suffix in _MODEL_FILES and p.is_file())
        for path in sorted(found, key=lambda p: p.relative_to(self.folder).as_posix()):
            total.update(f"{path.relative_to(self.folder).as_posix()}\0{files.digest([path])}\0".encode())
        return total.hexdigest()

    @property
    def _where(self) -> str:
        return "the hub did not give it" if self.allow_download else "not in the local Hugging Face cache"

    @cached_property
    def folder(self) -> Path:
        """The model's files.

        Raises:
            FileNotFoundError: `model` is no folder, and the hub has or gives nothing of that name.
        """
        if Path(self.model_name).is_dir():
            return Path(self.model_name)
        from huggingface_hub import snapshot_download

        try:
            unused = ["onnx/*", "openvino/*", "*.onnx*", "*.h5", "*.msgpack", "*.ot", "imgs/*"]
            local = not self.allow_download
            return Path(snapshot_download(self.model_name, ignore_patterns=unused, local_files_only=local))
        except Exception as error:  # absent, offline and refused have no common base in the hub's client
            raise MissingFile(
                f"embedder model {self.model_name!r}: not a local folder, and {self._where} ({type(error).__name__}). "
                "Name a folder with the model's files as embedder.model, or use embedder.kind=minilm, which needs no "
                f"download{'' if self.allow_download else ', or embedder.allow_download=true to fetch it from the hub'}"
            ) from error
