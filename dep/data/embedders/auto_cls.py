"""An embedder that takes the first token's state in an encoder's last layer; it needs only transformers."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from dep.data.embedders.base import Dtype, ModelFolder
from dep.utils.fields import RUNTIME
from dep.utils.registry import ComponentConfig

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class HubModelConfig(ComponentConfig):
    """Which model to load, and how it runs."""

    model: str = "BAAI/bge-m3"
    """A local folder or a name on the hub."""
    max_tokens: int = 8192
    """Largest number of tokens of a text; longer texts are cut."""
    batch_size: int = field(default=16, metadata=RUNTIME)
    """Number of texts in a batch."""
    device: str = field(default="auto", metadata=RUNTIME)
    """Where the model runs: `cpu`, `cuda`, `cuda:1`, ...; `auto` takes the GPU if there is one."""
    dtype: Dtype = "float32"
    """Precision of the model's weights."""
    allow_download: bool = field(default=False, metadata=RUNTIME)
    """Whether a model may be downloaded from the hub; if not, only local folders and the hub's local cache are read."""


class HubModel(ModelFolder):
    """Base of embedders whose model is in a local folder or on the hub."""

    def __init__(self, config: HubModelConfig) -> None:
        super().__init__(
            config.model, config.max_tokens, config.batch_size, config.device, config.dtype, config.allow_download
        )


class AutoCLS(HubModel):
    """Takes the first token's state in the last layer as a text's vector; with bge-m3 it needs no FlagEmbedding."""

    kind = "auto_cls"

    @dataclass(kw_only=True)
    class Config(HubModelConfig):
        """Which model to load, and how it runs."""

        kind: Literal["auto_cls"] = "auto_cls"

    @cached_property
    def _model(self) -> tuple[Any, Any]:
        import torch
        from transformers import AutoModel, AutoTokenizer

        model = AutoModel.from_pretrained(str(self.folder), dtype=getattr(torch, self.dtype))
        return AutoTokenizer.from_pretrained(str(self.folder)), model.to(self.device).eval()

    def _encode(self, texts: list[str]) -> Tensor:
        import torch

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
