"""Sources read raw reviews; each format has a file here. `SOURCES.build(config).load()` returns the corpora."""

from __future__ import annotations

from dep.data.sources.amazon2014 import Amazon2014
from dep.data.sources.amazon2023 import Amazon2023
from dep.data.sources.base import PlantedSource, PresplitSource, Source
from dep.data.sources.dpl import DPL
from dep.data.sources.synthetic import SyntheticSource
from dep.data.sources.synthetic_english import EnglishSource
from dep.data.sources.table import TableSource
from dep.utils.registry import Registry

__all__ = ["SOURCES", "EnglishSource", "PlantedSource", "PresplitSource", "Source", "SyntheticSource"]

SOURCES: Registry[Source] = Registry("source", default="synthetic")
SOURCES.add(SyntheticSource.Config, "dep.data.sources.synthetic:SyntheticSource")
SOURCES.add(EnglishSource.Config, "dep.data.sources.synthetic_english:EnglishSource")
SOURCES.add(Amazon2014.Config, "dep.data.sources.amazon2014:Amazon2014")
SOURCES.add(Amazon2023.Config, "dep.data.sources.amazon2023:Amazon2023")
SOURCES.add(DPL.Config, "dep.data.sources.dpl:DPL")
SOURCES.add(TableSource.Config, "dep.data.sources.table:TableSource")
