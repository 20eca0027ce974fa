"""The built-in world as a source: synthetic reviews, written to disk in the schema of Amazon 2023."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dep.data.sources.generated import GeneratedSource
from dep.data.synthetic.write import write_world
from dep.types import Corpus
from dep.utils.errors import DepError
from dep.utils.hashing import json_digest
from dep.utils.registry import ComponentConfig

if TYPE_CHECKING:
    from dep.data.synthetic.trait_probe import TraitRow
    from dep.data.vectors.store import Vectors


class SyntheticSource(GeneratedSource):
    """Generates reviews of three categories by users whose traits are known; nothing is downloaded."""

    kind = "synthetic"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Seed and sizes of the world; each of the three categories has these sizes."""

        kind: Literal["synthetic"] = "synthetic"
        folder: str = "cache/worlds"
        """The folder that the generated files are written to."""
        seed: int = 0
        """Seed of the world, below 900,000. The built-in backbone was trained on worlds with larger seeds."""
        users: int = 130
        """Number of users in a category."""
        reviews_per_user: int = 14
        """Number of reviews of each user."""
        circles: int = 6
        """Number of circles: groups of users who review similar items and use the same greeting."""
        items_per_circle: int = 30
        """Number of items that belong to a circle; its members mostly review these."""
        drift: float = 0.0
        """The share of a user's traits, from 0 to 1, that changes halfway through the user's reviews."""
        permute: bool = False
        """Whether users exchange their traits before their last review, the test target, so that a user's past says
        nothing about it. It is a check of methods and measures: no system can gain there by using the past."""

    def __init__(self, config: Config) -> None:
        if not 0 <= config.seed < 900_000:
            raise DepError(
                f"source.seed: expected 0 to 899,999, found {config.seed}; the built-in backbone was trained on "
                "worlds of the other seeds"
            )
        if not 0 <= config.drift <= 1:
            raise DepError(f"source.drift: expected a share between 0 and 1, found {config.drift}")
        if config.permute and config.drift:
            raise DepError("source.permute", "no drift with it", f"source.drift={config.drift:g}", "set one of the two")
        self.config = config

    def planted(self, corpora: Mapping[str, Corpus], vectors: Mapping[str, Vectors]) -> list[TraitRow]:
        """Probe the vectors for the planted sayings."""
        from dep.data.synthetic.trait_probe import planted

        return planted(corpora, vectors, self.path)

    @cached_property
    def path(self) -> Path:
        """The folder of this world, written on first use; `truth_<Category>.json` in it holds the users' traits."""
        size = {name: value for name, value in asdict(self.config).items() if name not in ("kind", "folder", "seed")}
        if not self.config.drift:
            del size["drift"]  # without drift, the folder is called as before drift existed
        if not self.config.permute:
            del size["permute"]
        short = json_digest(size)[:8]
        folder = Path(self.config.folder) / f"seed{self.config.seed}-{short}"
        write_world(folder, self.config.seed, **size)
        return folder
