"""bge-m3, the paper's embedder: by FlagEmbedding, or its first token by transformers alone."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from dep.data.embedders.base import Dtype, ModelFolder


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


class _BGE(ModelFolder):
    Config = _BGEConfig

    def __init__(self, config: _BGEConfig) -> None:
        super().__init__(
            config.model, config.max_tokens, config.batch_size, config.device, config.dtype, config.allow_download
        )


class BGEM3(_BGE):
    """The dense vectors of bge-m3, the paper's embedder, by FlagEmbedding: 1024 dimensions."""

    kind = "bge_m3"

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


class AutoCLS(_BGE):
    """The first token of any encoder's last layer: for bge-m3 the same vectors, without FlagEmbedding."""

    kind = "auto_cls"

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
