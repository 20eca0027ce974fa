"""The embedder of the paper: dense vectors of bge-m3, computed by FlagEmbedding."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from dep.data.embedders.auto_cls import HubModel, HubModelConfig
from dep.utils.errors import MissingFile

if TYPE_CHECKING:
    from torch import Tensor


class BGEM3(HubModel):
    """Computes dense vectors of bge-m3 with 1024 dimensions, by means of FlagEmbedding."""

    kind = "bge_m3"

    @dataclass(kw_only=True)
    class Config(HubModelConfig):
        """Which model to load, and how it runs."""

        kind: Literal["bge_m3"] = "bge_m3"

    @cached_property
    def _model(self) -> Any:
        try:
            from FlagEmbedding import BGEM3FlagModel
        except ImportError as error:
            raise MissingFile(
                "embedder.kind=bge_m3", "the package FlagEmbedding", "none",
                "install it, or set embedder.kind=auto_cls, which gives the same vectors without it",
            ) from error  # fmt: skip
        return BGEM3FlagModel(
            str(self.folder),
            use_fp16=self.dtype == "float16",
            use_bf16=self.dtype == "bfloat16",
            devices=self.device,
            batch_size=self.batch_size,
        )

    def _encode(self, texts: list[str]) -> Tensor:
        import torch

        # FlagEmbedding prints a progress bar to stderr in every call.
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
