"""Eqs. 2 and 3: e = f_emb(y), the frozen text embedding model that maps a review to a vector of unit length.

All embedders give [n, E] float32 on the CPU. In float32 neither the order of the texts nor the batch size
moves a number by more than 1e-6; in half precision and in eight bits they may, by about 1e-3, as they tip a rounding.

`EMBEDDERS.build(config).encode(texts)` gives the vectors.
"""

from __future__ import annotations

from dep.data.embedders.auto_cls import AutoCLS
from dep.data.embedders.base import Embedder
from dep.data.embedders.bge_m3 import BGEM3
from dep.data.embedders.minilm import MiniLM
from dep.data.embedders.sentence_transformers import SentenceTransformers
from dep.utils.registry import Registry

__all__ = ["BGEM3", "EMBEDDERS", "AutoCLS", "Embedder", "MiniLM", "SentenceTransformers"]

EMBEDDERS: Registry[Embedder] = Registry("embedder", default="minilm")
EMBEDDERS.add(MiniLM.Config, "dep.data.embedders.minilm:MiniLM")
EMBEDDERS.add(SentenceTransformers.Config, "dep.data.embedders.sentence_transformers:SentenceTransformers")
EMBEDDERS.add(BGEM3.Config, "dep.data.embedders.bge_m3:BGEM3")
EMBEDDERS.add(AutoCLS.Config, "dep.data.embedders.auto_cls:AutoCLS")
