"""Generates the English world and reads it (`dep.data.synthetic.english`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dep.data.sources.generated import GeneratedSource
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


class EnglishSource(GeneratedSource):
    """Generates reviews in ordinary English by users whose traits are known; nothing is downloaded."""

    kind = "synthetic_english"

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        """Seed and sizes of the world; each category has these sizes."""

        kind: Literal["synthetic_english"] = "synthetic_english"
        folder: str = "cache/worlds"
        """The folder that the generated files are written to."""
        seed: int = 0
        """Seed of the world."""
        categories: list[str] = field(default_factory=list)
        """Categories that are generated: Books, Home_and_Kitchen, CDs_and_Vinyl; an empty list takes all."""
        users: int = 130
        """Number of users in a category."""
        reviews_per_user: int = 14
        """Number of products that each user reviews."""
        reviewers_per_item: int = 12
        """Mean number of users who review a product; it determines the number of products."""

    def __init__(self, config: Config) -> None:
        if unknown := [name for name in config.categories if name not in CATEGORIES]:
            raise DepError("source.categories", f"some of {', '.join(CATEGORIES)}", unknown[0])
        for name in ("users", "reviews_per_user", "reviewers_per_item"):
            if getattr(config, name) < 1:
                raise DepError(f"source.{name}", "at least 1", str(getattr(config, name)))
        self.config = config

    def planted(self, corpora: Mapping[str, Corpus], vectors: Mapping[str, Vectors]) -> list[TraitRow]:
        """Probe the vectors for the planted traits."""
        from dep.data.synthetic.english.probe import planted

        return planted(corpora, vectors, self.path)

    @cached_property
    def path(self) -> Path:
        """The folder of this world, written on first use; `truth_<Category>.json` in it holds the users' traits."""
        sizes = (self.config.users, self.config.reviews_per_user, self.config.reviewers_per_item)
        worlds = [EnglishWorld(c, self.config.seed, *sizes) for c in self.config.categories or CATEGORIES]
        name = json_digest([worlds[0].seed, sorted(world.category for world in worlds), sizes])[:8]
        folder = Path(self.config.folder) / f"english{self.config.seed}-{name}"
        write_world(folder, worlds)
        return folder
