"""Embedders map a review to a vector of unit length with a frozen text embedding model (Eqs. 2 and 3: e = f_emb(y)).

`style` is no model: it is fitted to the texts of a run's training population. `joined` puts several embedders side by
side.

All embedders return [n, E] float32 on the CPU. The order of the texts and the batch size change results by at most 1e-6
if the model runs in float32, and by about 1e-3 in half precision or in eight bits.

`EMBEDDERS.build(config).encode(texts)` returns the vectors.
"""

from __future__ import annotations

from dep.data.embedders.auto_cls import AutoCLS
from dep.data.embedders.base import Embedder
from dep.data.embedders.bge_m3 import BGEM3
from dep.data.embedders.joined import Joined
from dep.data.embedders.minilm import MiniLM
from dep.data.embedders.sentence_transformers import SentenceTransformers
from dep.data.embedders.style import Style
from dep.utils.registry import Registry

__all__ = ["BGEM3", "EMBEDDERS", "AutoCLS", "Embedder", "Joined", "MiniLM", "SentenceTransformers", "Style"]

EMBEDDERS: Registry[Embedder] = Registry("embedder", default="minilm")
EMBEDDERS.add(MiniLM.Config, "dep.data.embedders.minilm:MiniLM")
EMBEDDERS.add(SentenceTransformers.Config, "dep.data.embedders.sentence_transformers:SentenceTransformers")
EMBEDDERS.add(BGEM3.Config, "dep.data.embedders.bge_m3:BGEM3")
EMBEDDERS.add(AutoCLS.Config, "dep.data.embedders.auto_cls:AutoCLS")
EMBEDDERS.add(Style.Config, "dep.data.embedders.style:Style")
EMBEDDERS.add(Joined.Config, "dep.data.embedders.joined:Joined")
