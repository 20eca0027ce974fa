"""An embedder for any model that sentence-transformers loads, and the settings that it shares with `minilm`."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from dep.data.embedders.base import Dtype, ModelFolder, Runtime
from dep.utils.fields import RUNTIME
from dep.utils.registry import ComponentConfig

if TYPE_CHECKING:
    from torch import Tensor

_AT_ONCE = 8
"""Largest number of texts in a batch for OpenVINO; the activations of more do not fit into a processor's cache."""


@dataclass(kw_only=True)
class RuntimeConfig(ComponentConfig):
    """Settings that say how a sentence-transformers model runs."""

    max_tokens: int | None = None
    """Largest number of tokens of a text; longer texts are cut. null: the model's own limit."""
    batch_size: int = field(default=32, metadata=RUNTIME)
    """Number of texts in a batch; OpenVINO gets at most eight at a time, which is faster."""
    device: str = field(default="auto", metadata=RUNTIME)
    """Where the model runs: `cpu`, `cuda`, `cuda:1`, ...; `auto` takes the GPU if there is one."""
    dtype: Dtype = "float32"
    """Precision of the model's weights."""
    runtime: Runtime = "torch"
    """Which library computes the vectors: `torch`, or `openvino` (needs the extra of that name), which gives the same
    vectors and is faster on a CPU. Two settings are faster still and give vectors with a cosine of 0.999 to these:
    `openvino` with dtype bfloat16, on processors that support it, and `openvino_int8`, on others."""


class SentenceTransformers(ModelFolder):
    """Computes vectors with a model that `sentence-transformers` loads."""

    kind = "sentence_transformers"

    @dataclass(kw_only=True)
    class Config(RuntimeConfig):
        """Which model to load, and how it runs."""

        kind: Literal["sentence_transformers"] = "sentence_transformers"
        model: str
        """A local folder or a name on the hub."""
        allow_download: bool = field(default=False, metadata=RUNTIME)
        """Whether a model may be downloaded from the hub; if not, only local folders and the hub's local cache are
        read."""

    def __init__(self, config: Config) -> None:
        super().__init__(
            config.model, config.max_tokens, config.batch_size, config.device, config.dtype, config.allow_download
        )
        self.runtime = config.runtime

    @cached_property
    def _model(self) -> Any:
        import torch
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(
            str(self.folder), device=self.device, model_kwargs={"dtype": getattr(torch, self.dtype)}
        )
        if self.max_tokens is not None:
            model.max_seq_length = self.max_tokens
        if self.runtime != "torch":
            from dep.data.embedders.openvino_runtime import run_by_openvino

            transformer: Any = model[0]
            run_by_openvino(transformer.auto_model, self.dtype, eight_bits=self.runtime == "openvino_int8")
        return model

    def _stated_width(self) -> int | None:
        """Return the hidden states' width if a vector is one state or their mean and no layer follows; else None."""
        try:
            parts = json.loads((self.folder / "modules.json").read_text(encoding="utf-8"))
            kinds = [part["type"].rpartition(".")[2] for part in parts]
            poolings = [part["path"] for part in parts if part["type"].endswith(".Pooling")]
            if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]) or parts[0]["path"]:
                return None
            pooling = json.loads((self.folder / poolings[0] / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError, KeyError):
            return None
        modes = [name for name, on in pooling.items() if name.startswith("pooling_mode_") and on is True]
        single = isinstance(pooling.get("pooling_mode"), str) or len(modes) == 1
        return super()._stated_width() if single else None

    def _encode(self, texts: list[str]) -> Tensor:
        import torch

        if self.runtime == "torch":
            return torch.cat([self._batch(batch) for batch in self._cut(texts, self.batch_size)])
        first, *rest = self._cut(texts, min(self.batch_size, _AT_ONCE))
        head = self._batch(first)  # The first call sets the tokenizer's padding, so no other may run beside it.
        with ThreadPoolExecutor(torch.get_num_threads() + 1) as pool:  # one thread more than compute, for tokenising
            return torch.cat([head, *pool.map(self._batch, rest)])

    def _cut(self, texts: list[str], size: int) -> list[list[str]]:
        return [texts[at : at + size] for at in range(0, len(texts), size)]

    def _batch(self, texts: list[str]) -> Tensor:
        """Embed one batch; given all texts at once, the library would sort them again, by their number of letters."""
        vectors: Tensor = self._model.encode(
            texts, batch_size=len(texts), convert_to_tensor=True, show_progress_bar=False
        )
        return vectors
