"""Retrievers choose which past reviews a prompt shows (Table 8); each has a file here."""

from __future__ import annotations

from dep.data.retrievers.base import Retriever
from dep.data.retrievers.bm25 import BM25
from dep.data.retrievers.dense import Dense
from dep.data.retrievers.random import Random
from dep.data.retrievers.recency import Recency
from dep.utils.registry import Registry

__all__ = ["BM25", "RETRIEVERS", "Dense", "Random", "Recency", "Retriever"]

RETRIEVERS: Registry[Retriever] = Registry("retriever", default="recency")
RETRIEVERS.add(Recency.Config, "dep.data.retrievers.recency:Recency")
RETRIEVERS.add(Random.Config, "dep.data.retrievers.random:Random")
RETRIEVERS.add(BM25.Config, "dep.data.retrievers.bm25:BM25")
RETRIEVERS.add(Dense.Config, "dep.data.retrievers.dense:Dense")
