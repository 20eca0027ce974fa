"""The English world as a source: written to disk in the schema of Amazon 2023, then read as any other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dep.data.sources.amazon2023 import Amazon2023
from dep.data.synthetic.english.lexicon import CATEGORIES
from dep.data.synthetic.english.world import EnglishWorld
from dep.data.synthetic.english.write import write_world
from dep.types import Corpus
from dep.utils.errors import DepError
from dep.utils.hashing import json_digest
from dep.utils.registry import ComponentConfig

if TYPE_CHECKING:
    from dep.data.synthetic.trait_probe import TraitRow
    from dep.data.vectors.store import Vectors


class EnglishSource:
    """Reviews in ordinary English whose traits and facts are known; no download."""

    kind = "synthetic_english"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Seed and sizes of the world; sizes are for each category."""

        kind: Literal["synthetic_english"] = "synthetic_english"
        folder: str = "cache/worlds"
        """Where its files go."""
        seed: int = 0
        """Seed of the world."""
        categories: list[str] = field(default_factory=list)
        """Categories to write: Books, Home_and_Kitchen, CDs_and_Vinyl; empty: all."""
        users: int = 130
        """Number of users."""
        reviews_per_user: int = 14
        """Products that each user reviews."""
        reviewers_per_item: int = 12
        """Users who review a product, on average; with the others it determines the number of products."""

    def __init__(self, config: Config) -> None:
        if unknown := [name for name in config.categories if name not in CATEGORIES]:
            raise DepError("source.categories", f"some of {', '.join(CATEGORIES)}", unknown[0])
        for name in ("users", "reviews_per_user", "reviewers_per_item"):
            if getattr(config, name) < 1:
                raise DepError(f"source.{name}", "at least 1", str(getattr(config, name)))
        self.config = config

    def load(self) -> dict[str, Corpus]:
        """Write the world if need be, and read it back."""
        return self._files.load()

    def fingerprint(self) -> str:
        """A SHA-256 of the files, which change with the phrases."""
        return self._files.fingerprint()

    def planted(self, corpora: Mapping[str, Corpus], vectors: Mapping[str, Vectors]) -> list[TraitRow]:
        """Probe the vectors for the planted traits."""
        from dep.data.synthetic.english.probe import planted

        return planted(corpora, vectors, self.path)

    @cached_property
    def path(self) -> Path:
        """The folder of this very world, written if need be; holds `truth_<Category>.json` too."""
        sizes = (self.config.users, self.config.reviews_per_user, self.config.reviewers_per_item)
        worlds = [EnglishWorld(c, self.config.seed, *sizes) for c in self.config.categories or CATEGORIES]
        name = json_digest([worlds[0].seed, sorted(world.category for world in worlds), sizes])[:8]
        folder = Path(self.config.folder) / f"english{self.config.seed}-{name}"
        write_world(folder, worlds)
        return folder

    @cached_property
    def _files(self) -> Amazon2023:
        return Amazon2023(Amazon2023.Config(folder=str(self.path)))
